"""vLLM's error shape."""

from __future__ import annotations

from starlette.responses import JSONResponse


class BadRequest(Exception):
    """The body is not what vLLM's models accept."""


def error(status: int, kind: str, message: str, param: str | None = None) -> JSONResponse:
    body = {"message": message, "type": kind, "param": param, "code": status}
    return JSONResponse({"error": body}, status_code=status)
