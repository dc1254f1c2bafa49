"""TLS for clients."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lorikeet.gateway.tls import Certificate


def make(folder: Path, name: str) -> None:
    """A certificate of its own, and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run([*command, "-subj", f"/CN={name}", *files], check=True, capture_output=True, timeout=60)


async def seen(port: int) -> tuple[bytes, bytes]:
    """The certificate that a client is shown, and the status line it reads."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /health HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")
        said = await reader.read()
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return shown, said.split(b"\r\n")[0]


async def test_clients_speak_tls_and_new_ones_see_a_new_certificate(stack: Any, tmp_path: Path) -> None:
    make(tmp_path, "old")
    certificate = Certificate(tmp_path)
    port = await stack.gateway.listen("127.0.0.1", 0, tls=certificate.context)
    old, line = await seen(port)
    assert line == b"HTTP/1.1 200 OK"
    assert not certificate.reload()
    make(tmp_path, "new")
    assert certificate.reload()
    new, line = await seen(port)
    assert line == b"HTTP/1.1 200 OK"
    assert new != old


async def test_half_a_change_is_not_taken(stack: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "old")
    certificate = Certificate(tmp_path)
    port = await stack.gateway.listen("127.0.0.1", 0, tls=certificate.context)
    old, _ = await seen(port)
    key = (tmp_path / "tls.key").read_bytes()
    make(tmp_path, "new")
    (tmp_path / "tls.key").write_bytes(key)
    assert not certificate.reload()
    assert "keeping the certificate" in caplog.text
    assert (await seen(port))[0] == old
    (tmp_path / "tls.crt").unlink()
    assert not certificate.reload()


def test_without_a_certificate_there_is_no_gateway(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"tls\.crt"):
        Certificate(tmp_path)
