"""A server on loopback that misbehaves exactly as told, on real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from tests.certs import Authority, Issued

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 6\r\n\r\n<xml/>"


class Wire:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, server: LoopbackServer) -> None:
        self._sock = sock
        self._server = server
        #: Set when the server stops: lets a script wait without outliving its test.
        self.over = server.over

    def read_request(self) -> bytes:
        """Read one whole request and remember it; empty when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._sock.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += self._sock.recv(65536)
        self._server.requests.append(head + b"\r\n\r\n" + body)
        return body

    def read_some(self) -> bytes:
        return self._sock.recv(20)

    def write(self, data: bytes) -> None:
        self._sock.sendall(data)

    def reset(self) -> None:
        """Close with a RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


Script = Callable[[Wire], None]


def answer(raw: bytes = OK) -> Script:
    """Answer every request of a connection with these bytes, keeping it open."""

    def play(wire: Wire) -> None:
        while wire.read_request():
            wire.write(raw)

    return play


class LoopbackServer:
    """Plays the n-th script on the n-th connection, the last one on all that follow."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._scripts = scripts or (answer(),)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.over = threading.Event()
        self.connections = 0
        #: Complete requests, head and body.
        self.requests: list[bytes] = []
        #: The client certificate's common name for each TLS connection.
        self.client_names: list[str] = []
        port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    def __enter__(self) -> LoopbackServer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.hang_up()
        for thread in self._threads:
            thread.join(timeout=5)

    def hang_up(self) -> None:
        """Stop listening and drop every open connection."""
        self._stop_listening()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._start(self._play, sock, script)

    def _play(self, sock: socket.socket, script: Script) -> None:
        sock.settimeout(5)
        # A script that meets a client which has gone has nothing more to do.
        with contextlib.suppress(OSError):
            try:
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                    subject = dict(rdn[0] for rdn in (sock.getpeercert() or {}).get("subject", ()))
                    self.client_names.append(subject.get("commonName", ""))
                self._open.append(sock)
                script(Wire(sock, self))
            finally:
                sock.close()


def server_tls(
    issued: Issued,
    *,
    clients_of: Authority | None = None,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """A server's TLS; ``clients_of`` makes client certificates of that authority a must."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_path, issued.key_path)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_of.ca_path)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context
