"""A fast stand-in for WeChat Pay in a process of its own: HTTPS with client certificates, canned answers.

It is for measuring only, so it believes everything: it checks no signature and keeps no rules. One thread
waits for all sockets (epoll over TLS sockets costs a third of asyncio's TLS), and what it measures it
measures in the same way for every client: the moment of each arrival, and the processor time that the
client had used at that moment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: It ends itself after so long, whoever started it and whatever became of them.
SECONDS_MAX: Final = 1800.0
#: Its niceness, where the system allows that.
_AHEAD: Final = -10
#: The merchant of all measurements.
MCH_ID: Final = "1900000109"

_SEND: Final = b"POST /mmpaymkttransfers/sendredpack "
_QUERY: Final = b"POST /mmpaymkttransfers/gethbinfo "
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_ECHOED: Final = ("mch_billno", "mch_id", "wxappid", "re_openid", "total_amount")
_FIELD: Final = {
    name: re.compile(rb"<%b>(?:<!\[CDATA\[)?([^<\]]*)" % name.encode()) for name in (*_ECHOED, "appid")
}
_CHUNK: Final = 65_536

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
#: As the documentation prints them (R3).
_ACCEPTED: Final = (
    "<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n<return_msg><![CDATA[发放成功]]></return_msg>\n"
    "<result_code><![CDATA[SUCCESS]]></result_code>\n<err_code><![CDATA[SUCCESS]]></err_code>\n"
    "<err_code_des><![CDATA[发放成功]]></err_code_des>\n<mch_billno><![CDATA[%b]]></mch_billno>\n"
    "<mch_id><![CDATA[%b]]></mch_id>\n<wxappid><![CDATA[%b]]></wxappid>\n"
    "<re_openid><![CDATA[%b]]></re_openid>\n<total_amount>%b</total_amount>\n"
    "<send_listid><![CDATA[1000041701%018d]]></send_listid>\n</xml>"
).encode()
_NOT_FOUND: Final = (
    "<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n"
    "<return_msg><![CDATA[指定单号数据不存在]]></return_msg>\n<result_code><![CDATA[FAIL]]></result_code>\n"
    "<err_code><![CDATA[NOT_FOUND]]></err_code>\n"
    "<err_code_des><![CDATA[指定单号数据不存在]]></err_code_des>\n"
    "<mch_billno><![CDATA[%b]]></mch_billno>\n</xml>"
).encode()
_FOUND: Final = (
    b"<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n<return_msg><![CDATA[OK]]></return_msg>\n"
    b"<result_code><![CDATA[SUCCESS]]></result_code>\n<err_code><![CDATA[SUCCESS]]></err_code>\n"
    b"<err_code_des><![CDATA[OK]]></err_code_des>\n<mch_billno><![CDATA[%b]]></mch_billno>\n"
    b"<status><![CDATA[%b]]></status>\n<send_type><![CDATA[API]]></send_type>\n"
    b"<hb_type><![CDATA[NORMAL]]></hb_type>\n</xml>"
)


def answer(head: bytes, body: bytes, serial: int, unknown: bytes) -> tuple[bytes, bytes]:
    """The answer to one request, and the bill number of a send (empty for a question).

    Args:
        serial: makes the ``send_listid``.
        unknown: the status of every number that is asked about; ``NOT_FOUND`` knows none.
    """
    if head.startswith(_SEND):
        values = tuple(_value(body, name) for name in _ECHOED)
        said = _ACCEPTED % (*values, serial)
        return _HEAD % (len(said), said), values[0]
    if head.startswith(_QUERY):
        number = _value(body, "mch_billno")
        said = _NOT_FOUND % number if unknown == b"NOT_FOUND" else _FOUND % (number, unknown)
        return _HEAD % (len(said), said), b""
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""


def accepted(parameters: Mapping[str, str], serial: int) -> bytes:
    """The body that answers a send with these parameters."""
    return _ACCEPTED % (*(parameters[name].encode() for name in _ECHOED), serial)


def _value(body: bytes, name: str) -> bytes:
    found = _FIELD[name].search(body)
    return found[1] if found else b""


def cpu_clock(pid: int) -> int:
    """The Linux clock that shows the processor time of another process, for `time.clock_gettime`."""
    return (~pid << 3) | 2


@dataclass
class Seen:
    """What arrived since the last ``reset``. Moments are monotonic seconds, the same for all processes."""

    sends_s: list[float] = field(default_factory=list)
    #: Processor seconds of the watched client at each of these moments.
    sends_cpu_s: list[float] = field(default_factory=list)
    #: Processor seconds of this server at the first and at the last of them.
    own_cpu_s: list[float] = field(default_factory=list)
    numbers: set[bytes] = field(default_factory=set)
    queries_s: list[float] = field(default_factory=list)
    queries_cpu_s: list[float] = field(default_factory=list)
    connections: int = 0
    open_max: int = 0

    def as_json(self) -> str:
        facts: dict[str, Any] = {**vars(self), "numbers": len(self.numbers)}
        return json.dumps(facts)


class _Wire:
    """One connection."""

    __slots__ = ("data", "ready", "sock")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.data = b""
        self.ready = False


class _Server:
    def __init__(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._listener = listener
        self._tls = tls
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._wires: dict[int, _Wire] = {}
        #: The latency is the same for all, so who came first is answered first.
        self._late: deque[tuple[float, _Wire, bytes]] = deque()
        self._latency_s = 0.0
        self._unknown = b"NOT_FOUND"
        self._clock = 0
        self._serial = 0
        self._seen = Seen()

    def serve(self, until_s: float) -> None:
        """Answer until told to stop, until nobody is there to tell, or until the time is up."""
        while (now_s := time.monotonic()) < until_s:
            wait_s = until_s - now_s if not self._late else max(0.0, self._late[0][0] - now_s)
            for number, _ in self._epoll.poll(min(wait_s, 1.0)):
                if number == self._listener.fileno():
                    self._accept()
                elif number == sys.stdin.fileno():
                    if not self._obey(sys.stdin.readline()):
                        return
                elif number in self._wires:
                    self._read(self._wires[number])
            while self._late and self._late[0][0] <= time.monotonic():
                _, wire, reply = self._late.popleft()
                self._write(wire, reply)

    def _obey(self, line: str) -> bool:
        said = "{}"
        match line.split():
            case ["reset"]:
                self._seen = Seen(open_max=len(self._wires))
            case ["latency", seconds]:
                self._latency_s = float(seconds)
            case ["unknown", status]:
                self._unknown = status.encode()
            case ["watch", pid]:
                self._clock = cpu_clock(int(pid))
            case ["count"]:
                said = json.dumps({"requests": len(self._seen.sends_s) + len(self._seen.queries_s)})
            case ["seen"]:
                said = self._seen.as_json()
            case _:
                return False
        print(said, flush=True)
        return True

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        wire = _Wire(self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False))
        self._wires[wire.sock.fileno()] = wire
        self._epoll.register(wire.sock.fileno(), select.EPOLLIN)
        self._seen.connections += 1
        self._seen.open_max = max(self._seen.open_max, len(self._wires))

    def _drop(self, wire: _Wire) -> None:
        number = wire.sock.fileno()
        if number >= 0:
            self._epoll.unregister(number)
            del self._wires[number]
            wire.sock.close()

    def _read(self, wire: _Wire) -> None:
        try:
            if not wire.ready:
                wire.sock.do_handshake()
                wire.ready = True
            data = wire.sock.recv(_CHUNK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(wire)
            return
        while wire.sock.pending():
            data += wire.sock.recv(_CHUNK)
        wire.data += data
        head, found, body = wire.data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and len(body) >= (int(length[1]) if length else 0):
            wire.data = b""
            self._answer(wire, head, body)

    def _answer(self, wire: _Wire, head: bytes, body: bytes) -> None:
        now_s, seen = time.monotonic(), self._seen
        cpu_s = self._client_cpu_s()
        self._serial += 1
        reply, number = answer(head, body, self._serial, self._unknown)
        if number:
            seen.sends_s.append(now_s)
            seen.sends_cpu_s.append(cpu_s)
            seen.numbers.add(number)
            seen.own_cpu_s[1:] = [time.process_time()]
        else:
            seen.queries_s.append(now_s)
            seen.queries_cpu_s.append(cpu_s)
        if self._latency_s:
            self._late.append((now_s + self._latency_s, wire, reply))
        else:
            self._write(wire, reply)

    def _client_cpu_s(self) -> float:
        if self._clock:
            try:
                return time.clock_gettime(self._clock)
            except OSError:  # it has ended
                self._clock = 0
        return 0.0

    def _write(self, wire: _Wire, reply: bytes) -> None:
        try:
            sent = wire.sock.send(reply) if wire.sock.fileno() >= 0 else len(reply)
            assert sent == len(reply), "answers fit into the socket's buffer"
        except OSError:
            self._drop(wire)


# -- in the process that measures


@dataclass(frozen=True)
class Arrivals:
    """What the gateway saw of one run."""

    sends_s: list[float]
    sends_cpu_s: list[float]
    own_cpu_s: list[float]
    #: Different bill numbers among the sends.
    numbers: int
    queries_s: list[float]
    queries_cpu_s: list[float]
    #: Connections opened, and the most that were open at once.
    connections: int
    open_max: int

    @property
    def span_s(self) -> float:
        """From the first send to the last."""
        return self.sends_s[-1] - self.sends_s[0]

    @property
    def per_second(self) -> float:
        return (len(self.sends_s) - 1) / self.span_s

    @property
    def cpu_us(self) -> float:
        """Processor time of the client for one send, in microseconds."""
        return 1e6 * (self.sends_cpu_s[-1] - self.sends_cpu_s[0]) / (len(self.sends_s) - 1)

    @property
    def ceiling_per_second(self) -> float:
        """What this server could have answered if its client had not been the slower one."""
        first_s, last_s = self.own_cpu_s[0], self.own_cpu_s[-1]
        return (len(self.sends_s) - 1) / max(last_s - first_s, 1e-9)


class Gateway:
    """The server in its own process, and its certificates: ``ca.pem``, ``client.pem``, ``client.key``."""

    def __init__(self, folder: Path, *, seconds_max: float = SECONDS_MAX) -> None:
        from campaign.rehearsal.certificates import ensure

        folder.mkdir(parents=True, exist_ok=True)
        self.certs = folder
        ensure(folder, MCH_ID)
        command = [sys.executable, "-m", "tests.bench.gateway", str(folder), str(seconds_max)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = str(self._reply()["url"])

    def tell(self, order: str) -> dict[str, Any]:
        """One order: ``reset``, ``latency S``, ``unknown STATUS``, ``watch PID``, ``count``, ``seen``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._reply()

    def begin(self, *, latency_s: float = 0.0, pid: int = 0) -> None:
        """Forget what was seen, and measure anew."""
        self.tell(f"latency {latency_s}")
        self.tell("reset")
        if pid:
            self.tell(f"watch {pid}")

    def seen(self) -> Arrivals:
        """What arrived since `begin`."""
        return Arrivals(**self.tell("seen"))

    def stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the bench's gateway has ended"
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply


@contextmanager
def serving(folder: Path, *, seconds_max: float = SECONDS_MAX) -> Iterator[Gateway]:
    """A gateway for the length of the block."""
    gateway = Gateway(folder, seconds_max=seconds_max)
    try:
        yield gateway
    finally:
        gateway.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("certs", type=Path)
    parser.add_argument("seconds", type=float, nargs="?", default=SECONDS_MAX)
    options = parser.parse_args()
    # It notes when requests arrive: other programs on the machine must not make it late, if it may say so.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _AHEAD)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certs / "server.pem", options.certs / "server.key")
    tls.load_verify_locations(options.certs / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(json.dumps({"url": f"https://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
        _Server(listener, tls).serve(time.monotonic() + options.seconds)


if __name__ == "__main__":
    main()
