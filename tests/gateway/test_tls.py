"""TLS for clients."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.main import certificate_of
from lorikeet.gateway.tls import Certificate
from lorikeet.testing.certificate import make_pair

LIMITS = Limits(cold_seconds=0)
ASK = b"GET /health HTTP/1.1\r\nHost: gw\r\n\r\n"
LAST = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def anybody() -> ssl.SSLContext:
    """A client that asks nobody who the server is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(10):
        return await asyncio.open_connection("127.0.0.1", port, ssl=anybody())


async def told(port: int, data: bytes) -> bytes:
    """Everything that is said to `data`."""
    reader, writer = await connect(port)
    async with asyncio.timeout(10):
        writer.write(data)
        said = await reader.read()
    writer.close()
    return said


async def shown(port: int) -> bytes:
    """The certificate that a client is shown who is then answered."""
    reader, writer = await connect(port)
    async with asyncio.timeout(10):
        writer.write(LAST)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    make_pair(tmp_path, "old")
    return Certificate(tmp_path)


async def listen(stack: Any, certificate: Certificate) -> int:
    port: int = await stack.gateway.listen("127.0.0.1", 0, tls=certificate.context)
    return port


async def test_new_clients_see_a_new_certificate_and_old_ones_go_on(
    stack: Any, tmp_path: Path, certificate: Certificate
) -> None:
    port = await listen(stack, certificate)
    reader, writer = await connect(port)
    old = await shown(port)
    assert not certificate.reload()
    make_pair(tmp_path, "new")
    assert certificate.reload()
    assert await shown(port) != old
    writer.write(LAST)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_secret_that_is_mounted_anew_is_taken(stack: Any, tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        make_pair(tmp_path / version, version)
    folder, data = tmp_path / "tls", tmp_path / "tls" / "..data"
    folder.mkdir()
    data.symlink_to("../1")
    for file in ("tls.crt", "tls.key"):
        (folder / file).symlink_to(f"..data/{file}")
    certificate = Certificate(folder)
    port = await listen(stack, certificate)
    old = await shown(port)
    (folder / "..data_tmp").symlink_to("../2")
    (folder / "..data_tmp").rename(data)  # what the kubelet does
    assert certificate.reload()
    assert await shown(port) != old


async def test_half_a_change_is_not_taken_and_said_once(
    stack: Any, tmp_path: Path, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    port = await listen(stack, certificate)
    old = await shown(port)
    key = (tmp_path / "tls.key").read_bytes()
    make_pair(tmp_path, "new")
    whole = (tmp_path / "tls.key").read_bytes()
    (tmp_path / "tls.key").write_bytes(key)
    assert not certificate.reload()
    assert not certificate.reload()
    assert caplog.text.count("are no pair") == caplog.text.count("the certificate stays as it was") == 1
    assert await shown(port) == old
    (tmp_path / "tls.key").write_bytes(whole)
    assert certificate.reload()
    assert await shown(port) != old


def no_file(folder: Path) -> None:
    (folder / "tls.key").unlink()


def no_certificate(folder: Path) -> None:
    (folder / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")


def locked(folder: Path) -> None:
    make_pair(folder, "new", "-passout", "pass:x")


@pytest.mark.parametrize("spoil", [no_file, no_certificate, locked])
async def test_files_that_are_no_pair_leave_the_certificate_there_was(
    stack: Any, tmp_path: Path, certificate: Certificate, caplog: pytest.LogCaptureFixture, spoil: Any
) -> None:
    port = await listen(stack, certificate)
    old = await shown(port)
    spoil(tmp_path)
    assert not certificate.reload()
    assert "the certificate stays as it was" in caplog.text
    assert await shown(port) == old


def test_without_a_certificate_there_is_no_gateway(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"LORIKEET_TLS_DIR .* must hold tls\.crt and its tls\.key: .*No such file"):
        certificate_of(tmp_path)
    make_pair(tmp_path, "new")
    no_certificate(tmp_path)
    with pytest.raises(SystemExit, match="LORIKEET_TLS_DIR"):
        certificate_of(tmp_path)
    assert certificate_of(None) is None


def test_old_protocols_are_refused(certificate: Certificate) -> None:
    old = anybody()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        old.wrap_bio(to_client, to_server).do_handshake()
    with pytest.raises(ssl.SSLError, match="unsupported protocol"):
        certificate.context().wrap_bio(to_server, to_client, server_side=True).do_handshake()


async def test_http_1_1_is_agreed_on(stack: Any, certificate: Certificate) -> None:
    port = await listen(stack, certificate)
    context = anybody()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()


async def test_who_does_not_begin_to_speak_tls_has_a_place_and_loses_it(
    stack_with: Any, certificate: Certificate
) -> None:
    async with stack_with(replace(LIMITS, connections=1, handshake_seconds=0.5)) as stack:
        port = await listen(stack, certificate)
        async with asyncio.timeout(10):
            silent, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(OSError, match=r"."):  # the one place is taken
                await asyncio.open_connection("127.0.0.1", port, ssl=anybody())
            assert await silent.read() == b""
            writer.close()
            await until_answered(port)


async def until_answered(port: int) -> None:
    while True:
        try:
            await shown(port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_client_that_speaks_plain_http_harms_nobody(stack: Any, certificate: Certificate) -> None:
    port = await listen(stack, certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    async with asyncio.timeout(10):
        said = await reader.read()
    assert b"HTTP" not in said
    writer.close()
    await shown(port)


async def test_what_is_no_request_is_told_so(stack: Any, certificate: Certificate) -> None:
    port = await listen(stack, certificate)
    reader, writer = await connect(port)
    writer.write(ASK.replace(b"Host: gw\r\n", b""))
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert b"the Host header is missing" in await reader.readuntil(b"}")
    writer.close()


async def test_a_last_reply_comes_whole_however_slowly_it_is_read(
    stack_with: Any, make_engine: Any, reply_with: Any, certificate: Certificate
) -> None:
    body = b"x" * 8_000_000
    engine = await make_engine(reply_with(body))
    async with stack_with(replace(LIMITS, linger_seconds=1e-6, held_bytes=10_000_000)) as stack:
        stack.route(engine)
        port = await listen(stack, certificate)
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=narrow, ssl=anybody(), server_hostname="gw", limit=1024)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\nconnection: close\r\ncontent-length: 15\r\n\r\n")
        writer.write(b'{"model":"sql"}')
        async with asyncio.timeout(20):
            said = await reader.read()
        assert said.endswith(b"\r\n\r\n" + body)
        writer.close()


async def test_two_processes_may_share_a_port(stack: Any, stack_with: Any, certificate: Certificate) -> None:
    port = await stack.gateway.listen("127.0.0.1", 0, shared=True, tls=certificate.context)
    async with stack_with(LIMITS) as other:
        assert await other.gateway.listen("127.0.0.1", port, shared=True, tls=certificate.context) == port
        for _ in range(8):
            await shown(port)


async def test_a_gateway_that_goes_lets_its_clients_end_and_takes_no_other(
    stack: Any, certificate: Certificate
) -> None:
    port = await listen(stack, certificate)
    reader, writer = await connect(port)
    going = asyncio.create_task(stack.gateway.drain(0, 10))
    async with asyncio.timeout(5):
        assert await reader.read() == b""
        await going
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(port)


@pytest.mark.slow
async def test_each_worker_takes_a_new_certificate_by_itself(start_process: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    make_pair(folder, "old")
    _, port = await start_process(LORIKEET_TLS_DIR=str(folder), LORIKEET_WORKERS="2")
    async with asyncio.timeout(100):
        await until_answered(port)
        old = await shown(port)
        make_pair(folder, "new")
        while old in [await shown(port) for _ in range(16)]:  # noqa: ASYNC110 - one of two processes, by chance
            await asyncio.sleep(0.1)
