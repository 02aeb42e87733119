"""One request to WeChat Pay over HTTPS, and whether it can have arrived (section 4).

What a failure means for the money hangs on one fact: was a byte of the request written? Exception
types do not tell (a client certificate that TLS 1.3 refuses shows only when the answer is read), so
the connection itself notes its first write.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from campaign.config.model import is_loopback
from campaign.errors import NoAnswer, NotSent, SetupError
from campaign.ports import Line, nothing
from campaign.text import Text, text
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.envelope import BODY_BYTES_MAX

#: How long a request waits for one of the pool's connections; there is one for every worker.
POOL_WAIT_S: Final = 30.0

#: So many connections are opened at once, at most: a handshake costs both sides as much as some ten requests,
#: and while a hundred are under way the requests between them arrive late, and then too many together.
OPENING_MAX: Final = 2
#: Nobody waits longer for a turn to open one: a host that is gone would hold all others up.
_TURN_WAIT_S: Final = 0.25

_OK: Final = http.HTTPStatus.OK.value
HEADERS: Final = {
    "Content-Type": "text/xml; charset=utf-8",
    # No compression: a small answer cannot become a large one.
    "Accept-Encoding": "identity",
    "User-Agent": "campaign",
}


class Download(NamedTuple):
    """An answer's body with what its head says of it."""

    body: bytes
    #: The header ``Digest`` as it came (R10.2); empty where there is none.
    digest: str = ""


class Transport(Protocol):
    """Carries a body to a path and brings the answer's body. One call is one request. Thread-safe."""

    @property
    def line(self) -> Line | None:
        """The same for many requests at once on one thread, where there is such a thing."""

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        """The body of an answer with HTTP status 200.

        Args:
            on_write: called once the connection stands, right before the first byte is written.

        Raises:
            NotSent: no byte of the request was written.
            NoAnswer: it left, wholly or in part, and no such answer came.
        """

    def download(self, path: str, body: bytes, *, bytes_max: int) -> Download:
        """As `post`, for an answer of up to so many bytes.

        Raises:
            NotSent, NoAnswer: as for `post`.
        """

    def close(self) -> None:
        """Give the connections back."""


class RequestsTransport:
    """HTTPS through the connections of one ``requests`` session, which all threads share.

    Requests are handed to the session's pools as they are: what `Session.send` adds to each (hooks, cookies,
    redirects, proxies, another look at the environment) costs two fifths of its time and is not wanted here.
    Nothing in the environment (proxies, CA bundles, key logs, .netrc) has a say.
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
            urls: scheme, host and port, in order of preference; empty ones are left out.
            certificate: the merchant's; None where the gateway asks for none (plain http to loopback).
            ca_bundle: replaces the public authorities.
            connections: kept open at most, for each host.
            connect_timeout_s: for each address of a host, and again for the TLS handshake.
            read_timeout_s: from the last byte of the request to the last byte of the answer.

        Raises:
            SetupError: ``ca_bundle`` or the certificate cannot be used.
        """
        self._timeout = urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s)
        self._session = requests.Session()
        self._session.trust_env = False
        places = plain_urls(urls)
        adapter = _Adapter(_tls_context(certificate, ca_bundle), hosts=len(places), connections=connections)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)
        #: Host and connections, in order of preference.
        self._pools: list[tuple[str, Any]] = [
            (
                urlsplit(url).netloc,
                adapter.get_connection_with_tls_context(requests.Request("POST", url).prepare(), True),
            )
            for url in places
        ]

    @property
    def line(self) -> None:
        """None: every request under way has a thread of its own."""

    def post(self, path: str, body: bytes, on_write: Callable[[], None] = nothing, /) -> bytes:
        """See `Transport`."""
        return self._carry(path, body, BODY_BYTES_MAX, on_write).body

    def download(self, path: str, body: bytes, *, bytes_max: int) -> Download:
        """See `Transport`."""
        return self._carry(path, body, bytes_max, nothing)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def _carry(self, path: str, body: bytes, bytes_max: int, on_write: Callable[[], None]) -> Download:
        """The next host gets the request only if it left for none before."""
        failures: list[NotSent] = []
        for host, pool in self._pools:
            try:
                return self._post_to(host, pool, path, body, bytes_max, on_write)
            except NotSent as error:
                failures.append(error)
        raise nowhere_sent(failures)

    def _post_to(
        self, host: str, pool: Any, path: str, body: bytes, bytes_max: int, on_write: Callable[[], None]
    ) -> Download:
        _request.written, _request.on_write = False, on_write
        try:
            response = pool.urlopen(
                "POST",
                path,
                body,
                HEADERS,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
            try:
                answer = _read(response, bytes_max)
            finally:  # of an answer that was not read to its end nothing may reach the next request
                response.close()
                response.release_conn()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            if not _request.written:
                raise not_sent(host, _cause(error)) from error
            raise no_answer(host, _cause(error)) from error
        if objection := objection_to(response.status, answer, bytes_max):
            raise no_answer(host, objection)
        return Download(answer, response.headers.get("Digest", ""))


class _Request(threading.local):
    """The one request that a thread has under way."""

    #: Whether a byte of it may have been written.
    written = False
    #: Called before that.
    on_write: Callable[[], None] = staticmethod(nothing)


_request: Final = _Request()


class _UntilDeadline(io.RawIOBase):
    """A socket's bytes, all of which must come within the timeout that the socket has now.

    The timeout of a socket starts anew with every byte, so a slow drip would hold a worker for ever.
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        timeout_s = sock.gettimeout()
        assert timeout_s is not None, "every request has a timeout"
        self._deadline_s = time.monotonic() + timeout_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose head and body share one deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_UntilDeadline(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    """Notes the first byte of a request. A connection that died in the pool is renewed before that.

    Head and body leave in one piece: there is one moment of sending, and one TLS record.
    """

    response_class = _Response
    _head: bytes = b""

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._head = b""
        super().putrequest(*args, **kwargs)

    def putheader(self, header: Any, *values: Any) -> None:
        """Written as it is: `HEADERS`, the settings' host and a length, which took 20 µs to look over."""
        [value] = values
        written = value if isinstance(value, bytes) else value.encode()
        self._output(b"%b: %b" % (header.encode(), written))  # type: ignore[attr-defined]  # typeshed lacks it

    def send(self, data: Any) -> None:
        if not self._head:
            self._head = data  # a body in one piece follows, every time
            return
        if self.sock is None:
            self.connect()
        _request.on_write()
        _request.written = True
        super().send(self._head + data)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS; the handshake is over before anything is sent."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(timeout or POOL_WAIT_S)


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opening = threading.Semaphore(OPENING_MAX)

    def _validate_conn(self, conn: Any) -> None:
        """Connects where that is needed."""
        if not conn.is_closed:
            return
        in_turn = self._opening.acquire(timeout=_TURN_WAIT_S)
        try:
            super()._validate_conn(conn)
        finally:
            if in_turn:
                self._opening.release()

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(timeout or POOL_WAIT_S)


class _Adapter(HTTPAdapter):
    """No retries, our connections, and one TLS context that nobody widens."""

    def __init__(self, context: ssl.SSLContext, *, hosts: int, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=hosts, pool_maxsize=connections, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context verifies; requests would add the public authorities to it, on every connection."""


def _read(response: urllib3.BaseHTTPResponse, bytes_max: int) -> bytes:
    """The body, or its first bytes if it is too long. Only at its end is a missing rest noticed."""
    body = b""
    while len(body) <= bytes_max:
        part = response.read(bytes_max + 1 - len(body), decode_content=False)
        if not part:
            break
        body += part
    return body


def _tls_context(certificate: ClientCertificate | None, ca_bundle: Path | None) -> ssl.SSLContext:
    # Not create_default_context: it writes session keys to where SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    trusted(ca_bundle, context)
    if certificate is not None:
        certificate.load_into(context)
    return context


def plain_urls(urls: Sequence[str]) -> list[str]:
    """Scheme, host and port of each, in order, once; empty ones are left out."""
    plain = [url.rstrip("/") for url in dict.fromkeys(urls) if url]
    assert plain, "no address"
    for url in plain:
        parts = urlsplit(url)
        assert parts.scheme == "https" or is_loopback(parts.hostname or ""), "settings checked this"
    return plain


def trusted(ca_bundle: Path | None, context: ssl.SSLContext) -> str:
    """The file with the authorities to trust, loaded into a context: this bundle, or the public ones.

    Raises:
        SetupError: it cannot be used.
    """
    path = str(ca_bundle or DEFAULT_CA_BUNDLE_PATH)
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise SetupError(
            text("the CA bundle {path} cannot be used: {cause}", path=path, cause=error.strerror),
            advice=text("correct gateway.ca_bundle, or leave it empty"),
        ) from error
    return path


def objection_to(status: int, answer: bytes, bytes_max: int) -> Text | None:
    """Why an answer that came completely is none; None where nothing speaks against it."""
    if status != _OK:
        return text("HTTP status {status}", status=status)
    if not answer:
        return text("the answer is empty")  # also what a head that was cut off looks like
    if len(answer) > bytes_max:
        return text("the answer is too long")
    return None


def not_sent(host: str, cause: Text) -> NotSent:
    """No byte was written to this host."""
    return NotSent(
        text("{host} cannot be reached: {cause}", host=host, cause=cause),
        advice=text("check the network and gateway.url; nothing was sent, so run again when it works"),
    )


def nowhere_sent(failures: Sequence[NotSent]) -> NotSent:
    """What to say when no host was reached."""
    if len(failures) == 1:
        return failures[0]
    first, *_, last = (failure.message for failure in failures)
    return NotSent(text("{first}; {last}", first=first, last=last), advice=failures[0].advice)


def no_answer(host: str, cause: Text) -> NoAnswer:
    """Something was written to this host, and no answer came that can be believed."""
    return NoAnswer(
        text("{host} gave no usable answer: {cause}", host=host, cause=cause),
        advice=text("the request may have arrived; the program asks before it does anything else"),
    )


def _cause(error: BaseException) -> Text:
    """The deepest reason that says something to a person."""
    for reason in _reasons(error):
        match reason:
            case ssl.SSLCertVerificationError():
                return text("its certificate is not trusted ({cause})", cause=reason.verify_message)
            case ssl.SSLError():
                return text(
                    "TLS failed ({cause})", cause=getattr(reason, "reason", None) or type(reason).__name__
                )
            case socket.gaierror():
                return text("its name cannot be resolved")
            case urllib3.exceptions.EmptyPoolError():
                return text("all connections are busy")
            case TimeoutError() | urllib3.exceptions.TimeoutError():
                return text("no reply in time")
            case urllib3.exceptions.IncompleteRead() | http.client.IncompleteRead():
                return text("the answer was cut off")
            case http.client.RemoteDisconnected():
                return text("the connection was closed")
            case OSError() if reason.errno is not None:
                return text("{cause}", cause=os.strerror(reason.errno))
            case http.client.HTTPException():
                return text("the answer is not HTTP")
            case _:
                continue
    return text("{cause}", cause=type(error).__name__)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, each once, the first cause first."""
    chain: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        reason = todo.pop(0)
        if isinstance(reason, BaseException) and reason not in chain:
            chain.append(reason)
            todo += [getattr(reason, "reason", None), *reason.args, reason.__cause__, reason.__context__]
    return reversed(chain)
