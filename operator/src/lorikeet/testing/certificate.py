"""Certificates that nobody else has signed."""

from __future__ import annotations

import subprocess
from pathlib import Path

ALGORITHM = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def make_pair(folder: Path, name: str, *options: str) -> None:
    """`tls.crt` for 127.0.0.1 and `tls.key`. `options`: of openssl's req; without them the key is not locked."""
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"))
    command = ["openssl", "req", *ALGORITHM, *(options or ("-nodes",)), *names, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - a test's own words
