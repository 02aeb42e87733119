"""The second transport: many requests at once on one thread, through libcurl (``campaign[fast]``).

The same promises as `campaign.wechat.transport`, kept by other means. libcurl tells when a connection
stands and before it writes (``PREREQFUNCTION``); what failed before that was not sent. It would repeat a
request by itself when a kept connection dies under it: the second time that it is about to write under
one request it is told to stop, and it gets no socket for that. Whether a kept connection still lives it
looks only now and then, so we look, while the request can still go to a new one.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from campaign.errors import GatewayError, NotSent
from campaign.ports import Line, nothing
from campaign.text import Text, text
from campaign.wechat import transport
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.envelope import BODY_BYTES_MAX
from campaign.wechat.transport import HEADERS, Download

# libcurl would write session keys to where this says.
os.environ.pop("SSLKEYLOGFILE", None)
import pycurl

#: With nothing to wait for (a name is being looked up) it looks again after so long; so often for deadlines.
_LOOK_AGAIN_S: Final = 0.01
#: One wait lasts no longer, so that a deadline or a free place is noticed.
_WAIT_S_MAX: Final = 0.1

#: A connection, as libcurl names it: their IP, ours, their port, ours.
Addresses: TypeAlias = tuple[str | int, ...]
#: Waits so many milliseconds until there is something to read; empty where nothing is.
Watch: TypeAlias = Callable[[int], list[tuple[int, int]]]

_WRITE: Final[int] = pycurl.PREREQFUNC_OK
_STOP: Final[int] = pycurl.PREREQFUNC_ABORT
_SOCKET: Final[int] = pycurl.SOCKOPT_OK
_NO_SOCKET: Final[int] = pycurl.SOCKOPT_ERROR
_TLS_FAILED: Final = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_ENGINE_INITFAILED,
        pycurl.E_SSL_ISSUER_ERROR,
    }
)
_CLOSED: Final = frozenset(
    {
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_ABORTED_BY_CALLBACK,
    }
)


class CurlTransport:
    """HTTPS through libcurl. Nothing in the environment (proxies, CA bundles, key logs, .netrc) has a say.

    `post` and `download` carry one request at a time; many at once go through `begin` and `landed`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        certificate: ClientCertificate | None,
        ca_bundle: Path | None,
        connections: int,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        """Nothing is connected yet.

        Args:
            urls, certificate, ca_bundle, connections: as for `RequestsTransport`.
            connect_timeout_s: for finding the host, connecting and the TLS handshake, all together.
            read_timeout_s: from the first byte of the request to the last byte of the answer.

        Raises:
            SetupError: ``ca_bundle`` or the certificate cannot be used.
        """
        self._urls = transport.plain_urls(urls)
        self._read_timeout_s = read_timeout_s
        self._options = _options(certificate, ca_bundle, connect_timeout_s)
        self.size = connections
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections * len(self._urls))
        self._idle: list[_Flight] = []
        #: Connections that stand, as far as we know.
        self._standing = 0
        self._flying: dict[pycurl.Curl, _Flight] = {}
        self._landed: list[tuple[object, bytes | GatewayError]] = []
        self._deadlines_s = 0.0
        self._watches: dict[Addresses, Watch] = {}
        self._alone = threading.RLock()

    @property
    def line(self) -> Line:
        """Itself."""
        return self

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        """See `campaign.wechat.transport.Transport`."""
        return self._carry(path, body, BODY_BYTES_MAX, on_write).body

    def download(self, path: str, body: bytes, *, bytes_max: int) -> Download:
        """See `campaign.wechat.transport.Transport`."""
        return self._carry(path, body, bytes_max, nothing)

    def _carry(self, path: str, body: bytes, bytes_max: int, on_write: Callable[[], None]) -> Download:
        """One request until its answer. Calls wait for each other."""
        until_s = time.monotonic() + transport.POOL_WAIT_S
        if not self._alone.acquire(timeout=transport.POOL_WAIT_S):
            raise self._busy()
        try:
            while not self.room:
                if time.monotonic() >= until_s:
                    raise self._busy()
                self._wait(until_s - time.monotonic())
                self._turn()
            flight = self._depart(path, body, tag=(ours := object()), bytes_max=bytes_max, on_write=on_write)
            flight.easy.setopt(pycurl.HEADERFUNCTION, flight.head)
            try:
                self._turn()
                while (landing := self._landing_of(ours)) is None:
                    self._wait(_WAIT_S_MAX)
                    self._turn()
            finally:
                flight.easy.unsetopt(pycurl.HEADERFUNCTION)
            self._landed.remove(landing)
            outcome, digest = landing[1], flight.digest
        finally:
            self._alone.release()
        if isinstance(outcome, GatewayError):
            raise outcome
        return Download(outcome, digest)

    @property
    def room(self) -> int:
        """See `campaign.ports.Line`."""
        # What flies beyond the connections that stand has to open one.
        return min(self.size, self._standing + transport.OPENING_MAX) - len(self._flying)

    def begin(self, path: str, body: bytes, tag: object, on_write: Callable[[], None] = nothing) -> None:
        """See `campaign.ports.Line`."""
        with self._alone:
            self._depart(path, body, tag=tag, bytes_max=BODY_BYTES_MAX, on_write=on_write)

    def landed(self, wait_s: float) -> list[tuple[object, bytes | GatewayError]]:
        """See `campaign.ports.Line`."""
        with self._alone:
            self._turn()
            if wait_s > 0 and not self._landed:
                self._wait(wait_s)
                self._turn()
            came, self._landed = self._landed, []
        return came

    def close(self) -> None:
        """Give the connections back."""
        with self._alone:
            for easy in self._flying:
                self._multi.remove_handle(easy)
            self._flying.clear()
            self._multi.close()

    def _depart(
        self, path: str, body: bytes, *, tag: object, bytes_max: int, on_write: Callable[[], None]
    ) -> _Flight:
        assert len(self._flying) < self.size, "the caller looked for room"
        if self._idle:
            flight = self._idle.pop()
        else:
            flight = _Flight(self._options, self._watches, opened=self._opened)
        flight.prepare(path, body, tag=tag, bytes_max=bytes_max, on_write=on_write)
        self._fly(flight)
        return flight

    def _opened(self) -> None:
        self._standing += 1

    def _fly(self, flight: _Flight) -> None:
        """To the first host that did not fail it."""
        flight.aim_at(self._urls[len(flight.failures)])
        self._flying[flight.easy] = flight
        self._multi.add_handle(flight.easy)

    def _landing_of(self, tag: object) -> tuple[object, bytes | GatewayError] | None:
        return next((landing for landing in self._landed if landing[0] is tag), None)

    def _turn(self) -> None:
        """Write and read what can be written and read now."""
        self._multi.perform()
        self._collect()

    def _wait(self, wait_s: float) -> None:
        if not self._flying:
            time.sleep(wait_s)
            return
        wait_s = min(wait_s, _WAIT_S_MAX)
        wishes_ms = self._multi.timeout()  # libcurl's own timers; -1: none
        try:
            ready = self._multi.select(min(wait_s, wishes_ms / 1000) if wishes_ms >= 0 else wait_s)
        except pycurl.error:  # a signal
            return
        if ready < 0:
            time.sleep(min(wait_s, _LOOK_AGAIN_S))

    def _collect(self) -> None:
        more = 1
        while more:
            more, good, bad = self._multi.info_read()
            for easy in good:
                self._end(easy, None)
            for easy, code, said in bad:
                self._end(easy, _cause(easy, code, said))
        now_s = time.monotonic()
        if now_s < self._deadlines_s:
            return
        self._deadlines_s = now_s + _LOOK_AGAIN_S
        late = [
            f.easy for f in self._flying.values() if f.written and now_s >= f.written_s + self._read_timeout_s
        ]
        for easy in late:
            self._end(easy, text("no reply in time"))

    def _end(self, easy: pycurl.Curl, cause: Text | None) -> None:
        """One attempt at one host is over; the next host gets the request only if it left for none."""
        self._multi.remove_handle(easy)
        flight = self._flying.pop(easy)
        if flight.met_dead:
            self._standing -= 1
            self._fly(flight)
            return
        if cause is not None and flight.written:
            self._standing -= 1  # libcurl closes it
        outcome = flight.judge(cause)
        if isinstance(outcome, NotSent):
            flight.failures.append(outcome)
            if len(flight.failures) < len(self._urls):
                self._fly(flight)
                return
            outcome = transport.nowhere_sent(flight.failures)
        self._landed.append((flight.tag, outcome))
        self._idle.append(flight)

    def _busy(self) -> NotSent:
        return transport.not_sent(urlsplit(self._urls[0]).netloc, text("all connections are busy"))


class _Flight:
    """One request under way, and its place, which the next one takes over."""

    def __init__(
        self,
        options: Sequence[tuple[int, object]],
        watches: dict[Addresses, Watch],
        *,
        opened: Callable[[], None],
    ) -> None:
        """
        Args:
            watches: of all connections, by their addresses.
            opened: called when one more connection stands.
        """
        self._watches = watches
        self._tell_opened = opened
        self._opened: list[int] = []
        self.easy = pycurl.Curl()
        self.easy.setopt(pycurl.SOCKOPTFUNCTION, self._opens)
        for option, value in options:
            self.easy.setopt(option, value)
        self.easy.setopt(pycurl.PREREQFUNCTION, self._about_to_write)
        self.easy.setopt(pycurl.WRITEFUNCTION, self._read)
        self._url = self._host = ""
        #: Whether the kept connection that it was given was dead; nothing was written then.
        self.met_dead = False

    def prepare(
        self, path: str, body: bytes, *, tag: object, bytes_max: int, on_write: Callable[[], None]
    ) -> None:
        """A request that has left for no host yet."""
        self.path, self.tag, self.bytes_max, self.on_write = path, tag, bytes_max, on_write
        self.failures: list[NotSent] = []
        self.easy.setopt(pycurl.POSTFIELDS, body)

    def aim_at(self, url: str) -> None:
        """The host that gets it next, over a kept connection unless it has just met a dead one."""
        self.easy.setopt(pycurl.FRESH_CONNECT, self.met_dead)
        self.written = self.met_dead = False
        self.written_s = 0.0
        self.digest = ""
        self._parts: list[bytes] = []
        self._bytes = 0
        if self._url != url + self.path:
            self._url, self._host = url + self.path, urlsplit(url).netloc
            self.easy.setopt(pycurl.URL, self._url)

    def judge(self, cause: Text | None) -> bytes | GatewayError:
        """What came of it; ``cause`` says what went wrong, if anything did."""
        answer = b"".join(self._parts)
        if cause is not None and not self.written:
            return transport.not_sent(self._host, cause)
        if cause is None or len(answer) > self.bytes_max:
            status = self.easy.getinfo(pycurl.RESPONSE_CODE)
            cause = transport.objection_to(status, answer, self.bytes_max)
        return answer if cause is None else transport.no_answer(self._host, cause)

    def _opens(self, descriptor: int, _purpose: int) -> int:
        """Called with every new socket, also with one for a repetition, which is refused."""
        if self.written:
            return _NO_SOCKET
        self._opened.append(descriptor)
        return _SOCKET

    def _about_to_write(self, *addresses: str | int) -> int:
        """Called when the connection stands, and once more where libcurl would repeat by itself."""
        if self.written:
            return _STOP
        if self._opened:
            self._watches[addresses] = _watch(_bound_to(addresses[-1], self._opened))
            self._opened.clear()
            self._tell_opened()
        elif (look := self._watches.get(addresses)) and look(0):
            self.met_dead = True  # nothing was asked, so it is the connection's end, or nonsense
            return _STOP
        self.on_write()
        self.written = True
        self.written_s = time.monotonic()
        return _WRITE

    def _read(self, part: bytes) -> int:
        self._parts.append(part)
        self._bytes += len(part)
        return len(part) if self._bytes <= self.bytes_max else 0

    def head(self, line: bytes) -> None:
        """Called with each line of the answer's head, where somebody wants it: six calls for each answer."""
        if line[:7].lower() == b"digest:":
            self.digest = line[7:].strip().decode("latin-1")


def _options(
    certificate: ClientCertificate | None, ca_bundle: Path | None, connect_timeout_s: float
) -> list[tuple[int, object]]:
    """What every request has in common."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities = transport.trusted(ca_bundle, context)
    options: list[tuple[int, object]] = [
        (pycurl.HTTPHEADER, [*(f"{name}: {value}" for name, value in HEADERS.items()), "Accept:", "Expect:"]),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.HTTP09_ALLOWED, False),
        (pycurl.HTTP_CONTENT_DECODING, False),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | pycurl.PROTO_HTTP),
        (pycurl.FOLLOWLOCATION, False),
        (pycurl.NOPROXY, "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.NOSIGNAL, True),
        (pycurl.CONNECTTIMEOUT_MS, max(1, round(connect_timeout_s * 1000))),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),  # or newer
        (pycurl.SSL_VERIFYPEER, True),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.CAINFO, authorities),
        (pycurl.SSL_SESSIONID_CACHE, False),
    ]
    if certificate is not None:
        chain, key = certificate.as_pem()
        options += [(pycurl.SSLCERT_BLOB, chain), (pycurl.SSLKEY_BLOB, key)]
    return options


def _bound_to(port: str | int, descriptors: Sequence[int]) -> int:
    """The socket with this local port, else -1; others were tried beside it and are closed."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            borrowed = socket.socket(fileno=descriptor)
            try:
                if borrowed.getsockname()[1] == port:
                    return descriptor
            finally:
                borrowed.detach()
    return -1


def _watch(descriptor: int) -> Watch:
    """Sees whether a connection has something to read."""
    watch = select.poll()
    if descriptor >= 0:
        watch.register(descriptor, select.POLLIN)
    return watch.poll


def _cause(easy: pycurl.Curl, code: int, said: str) -> Text:
    """libcurl's reason in words for a person."""
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return text("its certificate is not trusted ({cause})", cause=said)
    if code in _TLS_FAILED:
        return text("TLS failed ({cause})", cause=said)
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return text("its name cannot be resolved")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return text("no reply in time")
    if code == pycurl.E_PARTIAL_FILE:
        return text("the answer was cut off")
    if code in _CLOSED:
        error = easy.getinfo(pycurl.OS_ERRNO)
        return text("{cause}", cause=os.strerror(error)) if error else text("the connection was closed")
    return text("the answer is not HTTP")
