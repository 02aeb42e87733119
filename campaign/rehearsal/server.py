"""The stand-in over HTTPS on loopback, with client certificates required."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from campaign.errors import SetupError
from campaign.rehearsal.certificates import Certificates
from campaign.rehearsal.replies import Ending, Reply
from campaign.rehearsal.rules import Rules
from campaign.text import text

HOST: Final = "127.0.0.1"
#: How long a request without an answer keeps its connection; longer than any client waits.
_SILENCE_S: Final = 600.0
_LOOK_S: Final = 0.2
#: How long an attached server waits for its first client.
_LONELY_S: Final = 30.0
#: Beside the FIFO: held while somebody attaches, starts a server, or a server ends.
START_LOCK: Final = "start.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What `serve` needs to know beside the rules."""

    certificates: Certificates
    #: 0 takes a free one.
    port: int = 0
    #: Called with the address when requests can come.
    on_ready: Callable[[str], None]
    #: Called on SIGHUP.
    on_hangup: Callable[[], None]
    #: A FIFO: the server ends when nobody has it open for writing any more.
    attached: Path | None = None


def serve(rules: Rules, serving: Serving) -> None:
    """Serve until SIGINT, SIGTERM, or, when attached, until the last client is gone.

    Raises:
        SetupError: the port is taken.
    """
    asyncio.run(_serve(rules, serving))


async def _serve(rules: Rules, serving: Serving) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    loop.add_signal_handler(signal.SIGHUP, serving.on_hangup)
    server = web.Server(_Answers(rules).answer)
    try:
        listener = await loop.create_server(
            server, HOST, serving.port, ssl=_tls(serving.certificates), backlog=1024
        )
    except OSError as error:
        raise SetupError(
            text("Port {port} is not free: {cause}.", port=serving.port, cause=os.strerror(error.errno or 0)),
            advice=text("Name another with --port, or leave it out."),
        ) from None
    watch = _Attachment(serving.attached, stop) if serving.attached else None
    serving.on_ready(f"https://{HOST}:{listener.sockets[0].getsockname()[1]}")
    await stop.wait()
    listener.close()
    server.pre_shutdown()  # connections without a request
    await server.shutdown(timeout=1)
    if watch:
        watch.close()


class _Answers:
    """Turns replies into HTTP, and into what HTTP should not be."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        body = await request.read()
        reply = self._rules.handle(request.path, body, certificate_of=_merchant_of(request))
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        match reply.ending:
            case Ending.ANSWER:
                headers = {"Content-Type": reply.content_type}
                if reply.digest:
                    headers["Digest"] = reply.digest
                return web.Response(body=reply.body, status=reply.status, headers=headers)
            case Ending.RESET | Ending.REFUSE:
                _reset(request)
            case Ending.SILENCE:
                await _silence(request)
            case Ending.CUT:
                await _cut(request, reply)
        return web.Response()  # to a connection that is gone


async def _silence(request: web.BaseRequest) -> None:
    for _ in range(int(_SILENCE_S / _LOOK_S)):
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(_LOOK_S)
    _reset(request)


async def _cut(request: web.BaseRequest, reply: Reply) -> None:
    response = web.StreamResponse(headers={"Content-Type": reply.content_type})
    response.content_length = len(reply.body)
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Without lingering, closing sends RST.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _merchant_of(request: web.BaseRequest) -> str:
    """The merchant number in the client's certificate: its subject's common name."""
    certificate: dict[str, Any] = request.get_extra_info("peercert") or {}
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return ""


def _tls(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Attachment:
    """Watches a FIFO and stops the server when its last writer is gone, however it went."""

    def __init__(self, fifo: Path, stop: asyncio.Event) -> None:
        self._fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._lock_fd = os.open(fifo.with_name(START_LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        self._stop = stop
        self._seen = False
        loop = asyncio.get_running_loop()
        loop.add_reader(self._fd, self._look)
        loop.call_later(_LONELY_S, self._look_around)

    def _look(self) -> None:
        if self._has_writers() or not self._seen:
            return
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody is just attaching
        # From here to the end of the process nobody can attach: the lock is ours until then.
        if self._has_writers():
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        else:
            self._stop.set()

    def _look_around(self) -> None:
        """Whoever started us may have died before it attached."""
        if not self._seen:
            self._stop.set()

    def _has_writers(self) -> bool:
        try:
            while os.read(self._fd, 64):
                self._seen = True
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Stop watching; the lock goes with the process."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
