"""The promise of the transport: NotSent means that no byte of the request was written."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from campaign.errors import NoAnswer, NotSent, SetupError
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.curl import CurlTransport
from campaign.wechat.envelope import BODY_BYTES_MAX
from campaign.wechat.transport import RequestsTransport, Transport
from tests.certs import NOW, Authority, Issued
from tests.wechat.loopback import OK, LoopbackServer, Script, Wire, answer, server_tls

PATH = "/mmpaymkttransfers/sendredpack"
BODY = b"<xml><mch_billno>1900000109A</mch_billno></xml>"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


Maker = Callable[..., Transport]


@pytest.fixture(params=[RequestsTransport, CurlTransport], ids=["requests", "curl"], autouse=True)
def maker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Both transports keep the same promises."""
    make: Maker = request.param
    monkeypatch.setattr(f"{__name__}.make_transport", make)
    return make


make_transport: Maker = RequestsTransport


@dataclass(frozen=True)
class Pki:
    authority: Authority
    foreign: Authority
    server: Issued
    client: Issued
    foreign_client: Issued


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    foreign = Authority(tmp_path_factory.mktemp("foreign"), "Somebody else's CA")
    return Pki(authority, foreign, authority.server(), authority.client(), foreign.client())


def certificate_of(issued: Issued) -> ClientCertificate:
    return ClientCertificate.from_pem(issued.cert_path, issued.key_path, now_s=NOW.timestamp())


@contextmanager
def transport_to(
    *urls: str,
    trusts: Authority | None = None,
    shows: Issued | None = None,
    connections: int = 4,
    connect_timeout_s: float = 2.0,
    read_timeout_s: float = 2.0,
) -> Iterator[Transport]:
    transport = make_transport(
        urls,
        certificate=certificate_of(shows) if shows else None,
        ca_bundle=trusts.ca_path if trusts else None,
        connections=connections,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
    )
    try:
        yield transport
    finally:
        transport.close()


# ---------------------------------------------------------------- the ordinary way


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_request_and_its_answer_travel_over_mutual_tls(pki: Pki, version: ssl.TLSVersion) -> None:
    tls = server_tls(pki.server, clients_of=pki.authority, version=version)
    with (
        LoopbackServer(tls=tls) as server,
        transport_to(server.url, trusts=pki.authority, shows=pki.client) as transport,
    ):
        assert transport.post(PATH, BODY) == b"<xml/>"
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /mmpaymkttransfers/sendredpack HTTP/1.1\r\n")
        assert b"Content-Type: text/xml; charset=utf-8" in head
        assert body == BODY
        assert server.client_names == ["1900000109"]


def test_the_head_of_a_request_says_what_has_to_be_said_and_nothing_of_this_machine() -> None:
    with LoopbackServer() as server, transport_to(server.url) as transport:
        transport.post(PATH, BODY)
        transport.post(PATH, BODY)
        first, second = (request.partition(b"\r\n\r\n")[0] for request in server.requests)
    _, *lines = first.decode().split("\r\n")
    assert sorted(lines) == [
        "Accept-Encoding: identity",
        f"Content-Length: {len(BODY)}",
        "Content-Type: text/xml; charset=utf-8",
        f"Host: {urlsplit(server.url).netloc}",
        "User-Agent: campaign",
    ]
    assert second == first


@pytest.mark.parametrize("tls", [True, False])
def test_somebody_is_told_once_a_connection_stands_and_before_anything_is_written(
    pki: Pki, *, tls: bool
) -> None:
    """A new connection or a kept one: at that moment the pace is kept."""
    with (
        LoopbackServer(tls=server_tls(pki.server) if tls else None) as server,
        transport_to(server.url, trusts=pki.authority if tls else None) as transport,
    ):
        told: list[tuple[int, int]] = []

        def on_write() -> None:
            time.sleep(0.03)  # what was written before would have arrived by now
            told.append((server.connections, len(server.requests)))

        for _ in range(3):
            transport.post(PATH, BODY, on_write)
        assert told == [(1, 0), (1, 1), (1, 2)]


def test_nobody_is_told_of_a_request_that_never_leaves_and_nothing_of_it_is_in_the_next() -> None:
    """Somebody listens at that address only later."""
    with LoopbackServer() as gone:
        port = urlsplit(gone.url).port or 0
    told: list[str] = []
    with transport_to(gone.url, connections=1) as transport:
        with pytest.raises(NotSent):
            transport.post(PATH, b"<xml>1</xml>", lambda: told.append("first"))
        with LoopbackServer(port=port) as server:
            transport.post(PATH, b"<xml>2</xml>", lambda: told.append("second"))
            assert told == ["second"]
            assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b"<xml>2</xml>"]


def test_a_p12_serves_as_well_as_a_pem_pair(pki: Pki, tmp_path: Path) -> None:
    p12 = pki.client.write_p12(tmp_path / "apiclient_cert.p12", "1900000109")
    certificate = ClientCertificate.from_p12(p12, password="1900000109", now_s=NOW.timestamp())
    with LoopbackServer(tls=server_tls(pki.server, clients_of=pki.authority)) as server:
        transport = make_transport(
            [server.url],
            certificate=certificate,
            ca_bundle=pki.authority.ca_path,
            connections=1,
            connect_timeout_s=2,
            read_timeout_s=2,
        )
        assert transport.post(PATH, BODY) == b"<xml/>"
        assert server.client_names == ["1900000109"]
        transport.close()


def test_connections_are_kept(pki: Pki) -> None:
    with (
        LoopbackServer(tls=server_tls(pki.server)) as server,
        transport_to(server.url, trusts=pki.authority) as transport,
    ):
        for _ in range(5):
            transport.post(PATH, BODY)
        assert (server.connections, len(server.requests)) == (1, 5)


def test_there_are_no_more_connections_than_asked_for(pki: Pki) -> None:
    with (
        LoopbackServer(tls=server_tls(pki.server)) as server,
        transport_to(server.url, trusts=pki.authority, connections=2) as transport,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: transport.post(PATH, BODY), range(40)))
        assert answers == [b"<xml/>"] * 40
        assert server.connections <= 2


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<xm\r\n3\r\nl/>\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 6\r\n\r\n<xml/>",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<xml/>",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_every_lawful_framing_is_read(raw: bytes) -> None:
    with LoopbackServer(answer(raw)) as server, transport_to(server.url) as transport:
        assert transport.post(PATH, BODY) == b"<xml/>"
        assert transport.post(PATH, BODY) == b"<xml/>"


# ---------------------------------------------------------------- not sent


def _close_in_handshake(wire: Wire) -> None:
    wire.read_some()
    wire.close()


def _reset_in_handshake(wire: Wire) -> None:
    wire.read_some()
    wire.reset()


def _silent_in_handshake(wire: Wire) -> None:
    wire.over.wait(5)


def _no_tls(wire: Wire) -> None:
    wire.read_some()
    wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("script", [_close_in_handshake, _reset_in_handshake, _silent_in_handshake, _no_tls])
def test_a_handshake_that_does_not_end_is_not_sent(pki: Pki, script: Script) -> None:
    with LoopbackServer(script) as server:
        url = server.url.replace("http:", "https:")
        with (
            transport_to(url, trusts=pki.authority, shows=pki.client, connect_timeout_s=0.2) as transport,
            pytest.raises(NotSent),
        ):
            transport.post(PATH, BODY)


def _expired(pki: Pki) -> ssl.SSLContext:
    return server_tls(pki.authority.server("expired", not_after=NOW - timedelta(days=1)))


def _not_yet_valid(pki: Pki) -> ssl.SSLContext:
    return server_tls(pki.authority.server("future", not_before=NOW + timedelta(days=1)))


def _other_host(pki: Pki) -> ssl.SSLContext:
    return server_tls(pki.authority.server("other", hosts=("api.mch.weixin.qq.com",)))


def _foreign(pki: Pki) -> ssl.SSLContext:
    return server_tls(pki.foreign.server())


def _client_certificate_as_server(pki: Pki) -> ssl.SSLContext:
    return server_tls(pki.client)


def _tls_1_1(pki: Pki) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = server_tls(pki.server, version=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    "server_context",
    [_expired, _not_yet_valid, _other_host, _foreign, _client_certificate_as_server, _tls_1_1],
)
def test_a_server_that_is_not_trusted_gets_no_byte_of_the_request(
    pki: Pki, server_context: Callable[[Pki], ssl.SSLContext]
) -> None:
    with (
        LoopbackServer(tls=server_context(pki)) as server,
        transport_to(server.url, trusts=pki.authority, shows=pki.client) as transport,
    ):
        with pytest.raises(NotSent):
            transport.post(PATH, BODY)
        assert server.requests == []


def test_a_private_authority_is_unknown_without_its_bundle(pki: Pki) -> None:
    with LoopbackServer(tls=server_tls(pki.server)) as server, transport_to(server.url) as transport:
        with pytest.raises(NotSent, match="not trusted"):
            transport.post(PATH, BODY)
        assert server.requests == []


def test_a_client_certificate_refused_in_tls_1_2_is_not_sent(pki: Pki) -> None:
    """There the refusal is part of the handshake."""
    tls = server_tls(pki.server, clients_of=pki.authority, version=TLS_1_2)
    with (
        LoopbackServer(tls=tls) as server,
        transport_to(server.url, trusts=pki.authority, shows=pki.foreign_client) as transport,
        pytest.raises(NotSent),
    ):
        transport.post(PATH, BODY)


def test_a_closed_port_is_not_sent(pki: Pki) -> None:
    with LoopbackServer() as server:
        url = server.url
    with transport_to(url) as transport, pytest.raises(NotSent) as caught:
        transport.post(PATH, BODY)
    assert caught.value.may_have_paid is False


def test_a_name_that_cannot_be_resolved_is_not_sent() -> None:
    """No name has more than 255 letters, so nobody is asked about this one."""
    with (
        transport_to(f"https://{'x.' * 130}invalid") as transport,
        pytest.raises(NotSent, match="name cannot be resolved"),
    ):
        transport.post(PATH, BODY)


def test_no_free_connection_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.wechat.transport.POOL_WAIT_S", 0.05)
    asked, done = threading.Event(), threading.Event()

    def late(wire: Wire) -> None:
        wire.read_request()
        asked.set()
        done.wait(5)
        wire.write(OK)

    with (
        LoopbackServer(late) as server,
        transport_to(server.url, connections=1, read_timeout_s=5) as transport,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(transport.post, PATH, BODY)
        assert asked.wait(5)
        with pytest.raises(NotSent, match="busy"):
            transport.post(PATH, BODY)
        done.set()
        assert first.result() == b"<xml/>"
        assert len(server.requests) == 1


# ---------------------------------------------------------------- no answer


@pytest.mark.parametrize("shows_foreign", [True, False])
def test_a_client_certificate_refused_in_tls_1_3_is_no_answer(pki: Pki, shows_foreign: bool) -> None:
    """The client's handshake is over and the request written before the refusal arrives."""
    tls = server_tls(pki.server, clients_of=pki.authority, version=TLS_1_3)
    with (
        LoopbackServer(tls=tls) as server,
        transport_to(
            server.url, trusts=pki.authority, shows=pki.foreign_client if shows_foreign else None
        ) as transport,
        pytest.raises(NoAnswer) as caught,
    ):
        transport.post(PATH, BODY)
    assert caught.value.may_have_paid is True


def _after_request(act: Callable[[Wire], None]) -> Script:
    def play(wire: Wire) -> None:
        wire.read_request()
        act(wire)

    return play


def _reset_mid_body(wire: Wire) -> None:
    wire.write(OK[:-3])
    wire.reset()


def _says(raw: bytes) -> Script:
    def write_and_close(wire: Wire) -> None:
        wire.write(raw)
        wire.close()

    return _after_request(write_and_close)


def _reset_after_first_bytes(wire: Wire) -> None:
    wire.read_some()
    wire.reset()


def _status(line: str, extra: str = "") -> bytes:
    return f"HTTP/1.1 {line}\r\n{extra}Content-Length: 6\r\n\r\n<xml/>".encode()


NO_ANSWERS: dict[str, Script] = {
    "closed without a word": _after_request(Wire.close),
    "reset without a word": _after_request(Wire.reset),
    "reset while the request arrives": _reset_after_first_bytes,
    "reset in the middle of the body": _after_request(_reset_mid_body),
    "body shorter than announced": _says(OK[:-3]),
    "head cut off": _says(OK[:30]),
    "chunk cut off": _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<x"),
    "last chunk missing": _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<xml/>\r\n"),
    "chunk size is no number": _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "not HTTP": _says(b"\x00\x01\x02 what\r\n\r\n"),
    "two lengths": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 7\r\n\r\n<xml/>"),
    "header flood": _says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
    "endless header": _says(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000),
    "204": _says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "400": _says(_status("400 Bad Request")),
    "404": _says(_status("404 Not Found")),
    "500": _says(_status("500 Internal Server Error")),
    "502": _says(_status("502 Bad Gateway")),
    "503 come again": _says(_status("503 Service Unavailable", "Retry-After: 0\r\n")),
    "206": _says(_status("206 Partial Content")),
    "bad status": _says(_status("abc what")),
}


@pytest.mark.parametrize("script", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_after_the_first_byte_every_failure_is_no_answer_and_nothing_is_repeated(script: Script) -> None:
    with LoopbackServer(script) as server, LoopbackServer() as backup:
        with transport_to(server.url, backup.url) as transport, pytest.raises(NoAnswer):
            transport.post(PATH, BODY)
        assert server.connections == 1
        assert backup.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_cut_off_at_any_byte_is_no_answer(pki: Pki, scheme: str) -> None:
    tls = server_tls(pki.server) if scheme == "https" else None
    cuts = range(len(OK)) if scheme == "http" else range(0, len(OK), 9)
    with (
        LoopbackServer(*[_says(OK[:cut]) for cut in cuts], answer(), tls=tls) as server,
        transport_to(server.url, trusts=pki.authority) as transport,
    ):
        for _ in cuts:
            with pytest.raises(NoAnswer):
                transport.post(PATH, BODY)
        assert transport.post(PATH, BODY) == b"<xml/>"


def test_a_redirect_is_no_answer_and_is_not_followed() -> None:
    with LoopbackServer() as target:
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {target.url}/\r\nContent-Length: 0\r\n\r\n"
        with (
            LoopbackServer(answer(head.encode())) as server,
            transport_to(server.url) as transport,
            pytest.raises(NoAnswer, match="HTTP status 307"),
        ):
            transport.post(PATH, BODY)
        assert target.connections == 0


@pytest.mark.parametrize(
    "location", [b"http://[", b"//", b"\xff\xfe", b"http://a:99999999/", b"javascript:1"]
)
def test_a_redirect_to_nonsense_is_no_answer(location: bytes) -> None:
    raw = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    with (
        LoopbackServer(answer(raw)) as server,
        transport_to(server.url) as transport,
        pytest.raises(NoAnswer, match="HTTP status 302"),
    ):
        transport.post(PATH, BODY)


def _silent(wire: Wire) -> None:
    wire.over.wait(5)


def _drip(head: bytes) -> Callable[[Wire], None]:
    """Bytes for ever, each one well inside the timeout."""

    def play(wire: Wire) -> None:
        wire.write(head)
        while not wire.over.wait(0.02):
            wire.write(b"x")

    return play


def _flood_of_interim_answers(wire: Wire) -> None:
    while not wire.over.is_set():
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


DRIPS: dict[str, Callable[[Wire], None]] = {
    "silence": _silent,
    "interim answers flood": _flood_of_interim_answers,
    "status line drips": _drip(b"HTTP/1.1 200 "),
    "head drips": _drip(b"HTTP/1.1 200 OK\r\nA: "),
    "body drips": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
    "body without length drips": _drip(b"HTTP/1.1 200 OK\r\n\r\n"),
    "chunk drips": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"),
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS)
def test_the_whole_answer_has_one_deadline(pki: Pki, drip: Callable[[Wire], None], scheme: str) -> None:
    tls = server_tls(pki.server) if scheme == "https" else None
    with (
        LoopbackServer(_after_request(drip), tls=tls) as server,
        transport_to(server.url, trusts=pki.authority, read_timeout_s=0.2) as transport,
    ):
        started = time.monotonic()
        # libcurl does not even wait that long for an answer that only ever begins.
        said = "no reply in time" if drip is not _flood_of_interim_answers else "no usable answer"
        with pytest.raises(NoAnswer, match=said):
            transport.post(PATH, BODY)
        assert time.monotonic() - started < 1.5


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    sent = 0

    def flood(wire: Wire) -> None:
        nonlocal sent
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while not wire.over.is_set():
            wire.write(b"x" * 65536)
            sent += 65536

    with (
        LoopbackServer(_after_request(flood)) as server,
        transport_to(server.url) as transport,
        pytest.raises(NoAnswer, match="too long"),
    ):
        transport.post(PATH, BODY)
    assert sent < 20 * BODY_BYTES_MAX


def test_the_longest_lawful_answer_is_read() -> None:
    body = b"x" * BODY_BYTES_MAX
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with LoopbackServer(answer(raw)) as server, transport_to(server.url) as transport:
        assert transport.post(PATH, BODY) == body


def test_a_compressed_answer_is_not_inflated() -> None:
    bomb = gzip.compress(b"<xml>" + b" " * 50_000_000)
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    with LoopbackServer(answer(raw)) as server, transport_to(server.url) as transport:
        assert transport.post(PATH, BODY) == bomb
        assert b"accept-encoding: identity" in server.requests[0].lower()


# ---------------------------------------------------------------- connections that die in the pool


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("end", [Wire.close, Wire.reset])
def test_a_kept_connection_that_died_unseen_is_renewed(
    pki: Pki, end: Callable[[Wire], None], scheme: str
) -> None:
    """Nothing was written on it, so nothing is in doubt."""
    answered, ended = threading.Event(), threading.Event()

    def once(wire: Wire) -> None:
        wire.read_request()
        wire.write(OK)
        answered.wait(5)  # a reset may overtake the answer
        end(wire)
        ended.set()

    tls = server_tls(pki.server) if scheme == "https" else None
    with (
        LoopbackServer(once, answer(), tls=tls) as server,
        transport_to(server.url, trusts=pki.authority) as transport,
    ):
        transport.post(PATH, BODY)
        answered.set()
        assert ended.wait(5)
        assert transport.post(PATH, BODY) == b"<xml/>"
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("end", [Wire.close, Wire.reset])
def test_a_kept_connection_that_dies_under_the_request_is_no_answer(
    pki: Pki, end: Callable[[Wire], None], scheme: str
) -> None:
    """The request may have been read: neither repeated on a new connection nor called NotSent."""

    def second_request_kills(wire: Wire) -> None:
        wire.read_request()
        wire.write(OK)
        wire.read_some()
        end(wire)

    tls = server_tls(pki.server) if scheme == "https" else None
    with (
        LoopbackServer(second_request_kills, answer(), tls=tls) as server,
        LoopbackServer() as backup,
        transport_to(server.url, backup.url, trusts=pki.authority) as transport,
    ):
        transport.post(PATH, BODY)
        with pytest.raises(NoAnswer):
            transport.post(PATH, BODY)
        assert (server.connections, backup.connections) == (1, 0)


def test_a_server_that_vanished_between_two_requests_is_not_sent(pki: Pki) -> None:
    with LoopbackServer(tls=server_tls(pki.server)) as server:
        transport = make_transport(
            [server.url],
            certificate=None,
            ca_bundle=pki.authority.ca_path,
            connections=1,
            connect_timeout_s=2,
            read_timeout_s=2,
        )
        transport.post(PATH, BODY)
        server.hang_up()
    with pytest.raises(NotSent):
        transport.post(PATH, BODY)
    transport.close()


def test_a_failure_before_writing_is_not_taken_for_the_request_before(pki: Pki) -> None:
    """What one request wrote says nothing about the next one of the same thread."""
    with LoopbackServer(_says(_status("500 x")), tls=server_tls(pki.server)) as server:
        url = server.url
        with transport_to(url, trusts=pki.authority) as transport:
            with pytest.raises(NoAnswer):
                transport.post(PATH, BODY)
            server.hang_up()
            with pytest.raises(NotSent):
                transport.post(PATH, BODY)


def test_threads_do_not_mix_up_what_they_wrote() -> None:
    """One thread's request is under way while another one's cannot leave."""
    with LoopbackServer() as gone:
        closed = gone.url
    asked, done = threading.Event(), threading.Event()

    def late(wire: Wire) -> None:
        wire.read_request()
        asked.set()
        done.wait(5)
        wire.reset()

    with (
        LoopbackServer(late) as server,
        transport_to(server.url) as slow,
        transport_to(closed) as refused,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(slow.post, PATH, BODY)
        assert asked.wait(5)
        with pytest.raises(NotSent):
            refused.post(PATH, BODY)
        done.set()
        with pytest.raises(NoAnswer):
            first.result()


# ---------------------------------------------------------------- the second host


def test_the_backup_host_gets_what_provably_did_not_leave(pki: Pki) -> None:
    with (
        LoopbackServer(tls=_foreign(pki)) as first,
        LoopbackServer(tls=server_tls(pki.server)) as backup,
        transport_to(first.url, backup.url, trusts=pki.authority) as transport,
    ):
        assert transport.post(PATH, BODY) == b"<xml/>"
        assert (first.requests, len(backup.requests)) == ([], 1)


def test_the_backup_host_rests_while_the_first_answers() -> None:
    with (
        LoopbackServer() as first,
        LoopbackServer() as backup,
        transport_to(first.url, backup.url) as transport,
    ):
        transport.post(PATH, BODY)
        assert backup.connections == 0


def test_no_host_at_all_names_both(pki: Pki) -> None:
    with LoopbackServer() as first, LoopbackServer() as backup:
        urls = first.url, backup.url
    with transport_to(*urls) as transport, pytest.raises(NotSent) as caught:
        transport.post(PATH, BODY)
    assert all(url.removeprefix("http://") in str(caught.value) for url in urls)


def test_a_backup_that_gives_no_answer_is_no_answer() -> None:
    with LoopbackServer() as gone:
        closed = gone.url
    with (
        LoopbackServer(_after_request(Wire.close)) as backup,
        transport_to(closed, backup.url) as transport,
        pytest.raises(NoAnswer),
    ):
        transport.post(PATH, BODY)


# ---------------------------------------------------------------- nobody else has a say


def test_the_environment_has_no_say(pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a proxy, nor another trust, nor a log of the session keys."""
    keys = tmp_path / "keys.log"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(pki.foreign.ca_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    with (
        LoopbackServer(tls=server_tls(pki.server)) as server,
        transport_to(server.url, trusts=pki.authority) as transport,
    ):
        assert transport.post(PATH, BODY) == b"<xml/>"
    with (
        LoopbackServer(tls=_foreign(pki)) as server,
        transport_to(server.url, trusts=pki.authority) as transport,
        pytest.raises(NotSent),
    ):
        transport.post(PATH, BODY)
    assert not keys.exists()


def test_cookies_are_not_kept() -> None:
    raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 6\r\n\r\n<xml/>"
    with LoopbackServer(answer(raw)) as server, transport_to(server.url) as transport:
        transport.post(PATH, BODY)
        transport.post(PATH, BODY)
        assert b"cookie" not in server.requests[1].lower()


def test_plain_http_leaves_this_machine_under_no_setting() -> None:
    with pytest.raises(AssertionError), transport_to("http://api.mch.weixin.qq.com"):
        pass


def test_a_ca_bundle_that_cannot_be_used_is_a_setup_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for bundle in (empty, tmp_path / "missing.pem"):
        with pytest.raises(SetupError, match=bundle.name):
            make_transport(
                ["https://127.0.0.1:1"],
                certificate=None,
                ca_bundle=bundle,
                connections=1,
                connect_timeout_s=1,
                read_timeout_s=1,
            )
