"""What only the second transport does: many requests on one thread. The rest is in `test_transport`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from campaign.errors import GatewayError, NoAnswer
from campaign.wechat.curl import CurlTransport
from campaign.wechat.transport import OPENING_MAX
from tests.certs import Authority
from tests.wechat.loopback import OK, LoopbackServer, Wire, answer, server_tls

PATH = "/mmpaymkttransfers/sendredpack"
BODY = b"<xml><mch_billno>1900000109A</mch_billno></xml>"


def reset(wire: Wire) -> None:
    wire.read_request()
    wire.reset()


def silent(wire: Wire) -> None:
    wire.read_request()
    wire.over.wait(5)


def test_session_keys_are_not_logged(tmp_path: Path) -> None:
    """The variable is there before the transport is loaded, so this takes a process of its own."""
    authority = Authority(tmp_path / "ca")
    keys = tmp_path / "keys.log"
    program = (
        "import sys; from pathlib import Path; from campaign.wechat.curl import CurlTransport;"
        "t = CurlTransport([sys.argv[1]], certificate=None, ca_bundle=Path(sys.argv[2]), connections=1,"
        " connect_timeout_s=5, read_timeout_s=5);"
        "assert t.post('/', b'<xml/>') == b'<xml/>'"
    )
    with LoopbackServer(tls=server_tls(authority.server())) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.url, str(authority.ca_path)],
            env={**os.environ, "SSLKEYLOGFILE": str(keys)},
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert not keys.exists()


def line_to(server: LoopbackServer, *, size: int, read_timeout_s: float = 5.0) -> CurlTransport:
    return CurlTransport(
        [server.url],
        certificate=None,
        ca_bundle=None,
        connections=size,
        connect_timeout_s=2,
        read_timeout_s=read_timeout_s,
    )


def all_landed(line: CurlTransport, count: int) -> dict[object, bytes | GatewayError]:
    came: dict[object, bytes | GatewayError] = {}
    until_s = time.monotonic() + 10
    while len(came) < count and time.monotonic() < until_s:
        came.update(line.landed(0.5))
    return came


def test_many_requests_are_under_way_on_one_thread() -> None:
    """None of them is answered before all of them have arrived."""
    together = threading.Barrier(8, timeout=5)

    def meet(wire: Wire) -> None:
        while body := wire.read_request():
            together.wait()
            wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with LoopbackServer(meet) as server:
        line = line_to(server, size=8)
        for turn in range(3):
            for n in range(8):
                while not line.room:  # a connection is being opened
                    assert line.landed(0.05) == []
                line.begin(PATH, b"<xml>%d-%d</xml>" % (turn, n), n)
            assert line.room == 0
            assert all_landed(line, 8) == {n: b"<xml>%d-%d</xml>" % (turn, n) for n in range(8)}
        assert server.connections == 8
        line.close()


def test_few_connections_are_opened_at_once() -> None:
    """What arrives between many handshakes arrives late; what stands takes as many requests as it can."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # no handshake ever ends
        line = CurlTransport(
            [f"https://127.0.0.1:{silent.getsockname()[1]}"],
            certificate=None,
            ca_bundle=None,
            connections=64,
            connect_timeout_s=0.3,
            read_timeout_s=1,
        )
        begun = 0
        for _ in range(3):
            while line.room:
                line.begin(PATH, BODY, begun)
                begun += 1
            assert line.landed(0.01) == []
        assert begun == OPENING_MAX
        assert len(all_landed(line, begun)) == begun
        assert line.room == OPENING_MAX
        line.close()


def test_connections_that_break_leave_room_for_others() -> None:
    """However many have broken, the line fills again."""

    def moody(wire: Wire) -> None:
        if wire.read_request() == b"<xml>bad</xml>":
            wire.reset()
            return
        wire.write(OK)
        while wire.read_request():
            wire.write(OK)

    with LoopbackServer(moody) as server:
        line = line_to(server, size=12)
        for n in range(30):
            while not line.room:
                line.landed(0.05)
            line.begin(PATH, b"<xml>bad</xml>" if n % 2 else BODY, n)
        while line._flying:
            line.landed(0.5)
        begun = 0
        while begun < 12:
            if line.room:
                line.begin(PATH, BODY, begun)
                begun += 1
            else:
                line.landed(0.05)
        line.close()


def test_one_request_that_fails_leaves_the_others_alone() -> None:
    """A reset, silence past the deadline, and an answer, at the same time."""
    scripts = [reset, silent, answer()]
    with LoopbackServer(*scripts) as server:
        line = line_to(server, size=3, read_timeout_s=0.3)
        for n in range(3):
            line.begin(PATH, BODY, n)
            time.sleep(0.02)  # in this order, so that each meets its script
        came = all_landed(line, 3)
        assert [type(came[n]) for n in range(3)] == [NoAnswer, NoAnswer, bytes]
        assert "no reply in time" in str(came[1])
        assert line.landed(0.01) == []
        line.close()


def test_a_request_of_its_own_waits_neither_for_others_nor_loses_their_answers() -> None:
    with LoopbackServer() as server:
        line = line_to(server, size=2)
        line.begin(PATH, BODY, "other")
        assert line.post(PATH, BODY) == b"<xml/>"
        assert all_landed(line, 1) == {"other": b"<xml/>"}
        line.close()


def test_connections_that_died_while_nobody_looked_cost_nothing() -> None:
    """A server that hangs up on idle connections: the next requests all go to new ones."""

    def impatient(wire: Wire) -> None:
        wire.read_request()
        wire.write(OK)
        wire.close()

    with LoopbackServer(impatient) as server:
        line = line_to(server, size=4)
        for turn in range(5):
            for n in range(4):
                line.begin(PATH, BODY, n)
            assert set(all_landed(line, 4).values()) == {b"<xml/>"}, turn
            time.sleep(0.02)
        assert len(server.requests) == 20
        line.close()


def test_a_request_that_left_goes_over_no_other_kept_connection() -> None:
    """libcurl would repeat by itself what dies on one kept connection, on another one."""

    def answers_once(wire: Wire) -> None:
        wire.read_request()
        wire.write(OK)
        wire.read_request()
        wire.close()

    with LoopbackServer(answers_once) as server:
        line = line_to(server, size=2)
        for n in range(2):
            line.begin(PATH, BODY, n)
        assert set(all_landed(line, 2).values()) == {b"<xml/>"}
        assert server.connections == 2
        line.begin(PATH, b"<xml>once</xml>", "once")
        assert type(all_landed(line, 1)["once"]) is NoAnswer
        line.close()
        assert [b"once" in request for request in server.requests] == [False, False, True]
