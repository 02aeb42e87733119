"""The stand-in as a real process over real TLS, asked by two clients that know nothing of each other."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wechatpy.exceptions import WeChatPayException
from wechatpy.pay import WeChatPay

from campaign.config import load_settings
from campaign.domain.answer import Outcome
from campaign.errors import NoAnswer, SetupError
from campaign.rehearsal.books import ReadOnlyBooks
from campaign.rehearsal.certificates import ensure
from campaign.rehearsal.local import BOOKS, folder_of, start
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.client import RedpackClient
from campaign.wechat.transport import RequestsTransport
from tests.certs import Authority
from tests.rehearsal.world import KEY, number, packet

SETTINGS = f"""
[merchant]
mch_id = "1900000109"
wxappid = "wx0123456789abcdef"
api_key = "{KEY}"
[gateway]
url = "rehearsal"
[limits]
campaign_yuan = "5000.00"
[rehearsal]
seed = 7
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "campaign.toml"
    file.write_text(SETTINGS)
    file.chmod(0o600)
    return file


class Served:
    """A running `campaign rehearsal serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        self.ready: dict[str, Any] = json.loads(line)
        self.url: str = self.ready["url"]
        self.certs = Path(self.ready["certs"])

    @property
    def books(self) -> ReadOnlyBooks:
        return ReadOnlyBooks(Path(self.ready["books"]))

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err

    def client(self, read_timeout_s: float = 5, folder: Path | None = None) -> RedpackClient:
        folder = folder or self.certs
        certificate = ClientCertificate.from_pem(
            folder / "client.pem", folder / "client.key", now_s=time.time()
        )
        transport = RequestsTransport(
            [self.url], certificate=certificate, ca_bundle=self.certs / "ca.pem", connections=2,
            connect_timeout_s=5, read_timeout_s=read_timeout_s,
        )  # fmt: skip
        return RedpackClient(
            transport=transport, api_key=KEY, mch_id="1900000109", appid="wx0123456789abcdef"
        )

    def wechatpy(self, key: str = KEY) -> WeChatPay:
        pay = WeChatPay(
            "wx0123456789abcdef", key, "1900000109",
            mch_cert=str(self.certs / "client.pem"), mch_key=str(self.certs / "client.key"), timeout=5,
        )  # fmt: skip
        pay.API_BASE_URL = f"{self.url}/"
        pay._http.trust_env = False
        pay._http.verify = str(self.certs / "ca.pem")
        return pay


@contextmanager
def serving(settings_file: Path, *options: str) -> Iterator[Served]:
    command = [
        sys.executable,
        "-m",
        "campaign",
        "--config",
        str(settings_file),
        "rehearsal",
        "serve",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def wechatpy_send(pay: WeChatPay, n: int, **changes: Any) -> Any:
    facts = {
        "user_id": "oAlice", "total_amount": 188, "send_name": "天虹百货", "act_name": "猜灯谜抢红包",
        "wishing": "祝您元宵节快乐!", "remark": "A&B <test>", "client_ip": "192.0.2.10",
        "out_trade_no": number(n),
    }  # fmt: skip
    try:
        return pay.redpack.send(**(facts | changes))
    finally:
        pay._http.close()


def test_wechatpy_sends_repeats_and_queries_over_mutual_tls(settings_file: Path) -> None:
    """A peer with its own signing, XML and nonces is paid once and told the truth."""
    with serving(settings_file) as served:
        pay = served.wechatpy()
        first = wechatpy_send(pay, 1)
        again = wechatpy_send(pay, 1)
        assert first["send_listid"] == again["send_listid"]
        asked = pay.redpack.query(number(1))
        assert (asked["detail_id"], asked["total_amount"]) == (first["send_listid"], "188")
        for code, attempt in [
            ("FATAL_ERROR", lambda: wechatpy_send(pay, 1, user_id="oBob")),
            ("MONEY_LIMIT", lambda: wechatpy_send(pay, 2, total_amount=99)),
            ("NOT_FOUND", lambda: pay.redpack.query(number(2))),
            ("SIGN_ERROR", lambda: wechatpy_send(served.wechatpy("x" * 32), 3)),
        ]:
            with pytest.raises(WeChatPayException) as caught:
                attempt()
            assert caught.value.errcode == code
        pay._http.close()
        assert served.books.paid_total_fen() == 188


def test_our_own_client_meets_the_same_gateway(settings_file: Path) -> None:
    """Ready line, certificates, a send, a question."""
    with serving(settings_file, "--seed", "3") as served:
        assert served.ready["gateway"] == "rehearsal"
        assert served.ready["seed"] == 3
        client = served.client()
        assert client.send_redpack(packet()).outcome is Outcome.ACCEPTED
        assert client.query(number(1)).total_amount == 188
        client.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_its_orders_are_there_next_time(settings_file: Path, how: int) -> None:
    """Exit 0, nothing on stdout but the ready line, no traceback."""
    with serving(settings_file) as served:
        client = served.client()
        listid = client.send_redpack(packet()).send_listid
        assert served.stop(how) == (0, "", "")
        client.close()
    with serving(settings_file) as served:
        client = served.client()
        assert client.query(number(1)).detail_id == listid
        client.close()


def test_it_survives_kill_9_with_every_answered_order(settings_file: Path) -> None:
    """And the next one opens the same books at once."""
    with serving(settings_file) as served:
        client = served.client()
        for n in range(1, 21):
            client.send_redpack(packet(n, f"oP{n}"))
        served.process.kill()
        served.process.wait()
        client.close()
    with serving(settings_file) as served:
        assert {o.mch_billno for o in served.books.orders()} == {number(n) for n in range(1, 21)}


FAULTS_ON_THE_WIRE = [
    ("reset_before", 0), ("refused", 0), ("http_502_before", 0), ("reset_after", 1), ("http_500_after", 1),
    ("cut", 1), ("answer_lost", 1), ("slow", 1),
]  # fmt: skip


def test_each_broken_connection_is_no_answer_to_a_client(settings_file: Path) -> None:
    """On the wire: reset before and after, 5xx, cut off, silent, too slow; and the order is stored or not."""
    faults = {name: {"positions": [i], "delay_s": 3.0} for i, (name, _) in enumerate(FAULTS_ON_THE_WIRE, 1)}
    with serving(settings_file, "--faults", json.dumps(faults)) as served:
        client = served.client(read_timeout_s=0.5)
        for i, (name, _) in enumerate(FAULTS_ON_THE_WIRE, 1):
            with pytest.raises(NoAnswer):
                client.send_redpack(packet(i, f"oP{i}"))
            assert served.books.requests(number(i))[-1].fault == name
        stored = {o.mch_billno for o in served.books.orders()}
        assert stored == {number(i) for i, (_, paid) in enumerate(FAULTS_ON_THE_WIRE, 1) if paid}
        # a faultless row still gets through
        assert client.send_redpack(packet(99)).outcome is Outcome.ACCEPTED
        client.close()


def test_a_faults_file_is_read_again_on_sighup_and_a_broken_one_changes_nothing(settings_file: Path) -> None:
    """Faults on, off, and mistyped while it runs."""
    file = settings_file.parent / "faults.json"
    file.write_text('{"systemerror": 1}')
    with serving(settings_file, "--faults", str(file)) as served:
        client = served.client()

        def reread(content: str) -> str:
            file.write_text(content)
            served.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
            client.query(number(1))  # whatever it says, the signal was handled before it
            return client.send_redpack(packet()).err_code

        assert client.send_redpack(packet()).err_code == "SYSTEMERROR"
        assert reread('{"unknown_code": 1}') == "NEW_CODE_2027"
        assert reread('{"unknown_code": 2}') == "NEW_CODE_2027"
        assert reread("{}") == ""
        client.close()
        code, _, err = served.stop()
        assert code == 0
        assert "The faults stay as they were" in err


def handshake(url: str, context: ssl.SSLContext) -> bytes:
    """Connect and read; TLS 1.3 tells a refused client only when it reads."""
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"POST /mmpaymkttransfers/gethbinfo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        return tls.recv(100)


def is_refused(url: str, context: ssl.SSLContext) -> bool:
    """Refused in the handshake, or when the answer is read, or by an end without an answer."""
    try:
        return handshake(url, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def first_byte(url: str, version: bytes) -> bytes:
    """What the server says first to a client of this TLS version."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5) as raw:
        raw.sendall(client_hello(version))
        return raw.recv(1)


def client_hello(version: bytes) -> bytes:
    """The shortest ClientHello: this version, no session, two old and two newer ciphers."""
    ciphers = bytes.fromhex("c00ac014c02bc02f")
    body = version + bytes(32) + b"\0" + len(ciphers).to_bytes(2, "big") + ciphers + b"\x01\0"
    groups = bytes.fromhex("000a00040002 0017 000b00020100 000d000400020403".replace(" ", ""))
    body += len(groups).to_bytes(2, "big") + groups
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16" + version + len(message).to_bytes(2, "big") + message


def test_tls_refuses_no_certificate_a_foreign_one_and_an_old_protocol(
    settings_file: Path, tmp_path: Path
) -> None:
    """R8: the client certificate is required, not asked for."""
    with serving(settings_file) as served:

        def context() -> ssl.SSLContext:
            return ssl.create_default_context(cafile=served.certs / "ca.pem")

        good = context()
        good.load_cert_chain(served.certs / "client.pem", served.certs / "client.key")
        assert handshake(served.url, good).startswith(b"HTTP/1.1 200")

        foreign = context()
        stranger = Authority(tmp_path / "foreign").client()
        foreign.load_cert_chain(stranger.cert_path, stranger.key_path)
        for refused in (context(), foreign):
            assert is_refused(served.url, refused)
        # a handshake for TLS 1.2, none for TLS 1.1
        assert first_byte(served.url, b"\x03\x03") == b"\x16"
        assert first_byte(served.url, b"\x03\x02") in (b"\x15", b"")


def test_a_certificate_of_another_merchant_is_a_ca_error(settings_file: Path) -> None:
    """R5.1: TLS lets it in, the rules do not."""
    folder = settings_file.parent / "certs"
    files = ensure(folder, "1900000109")
    # The stand-in throws its authority away, so another authority is put beside it in the bundle.
    other = Authority(settings_file.parent / "other")
    stranger = other.client("1999999999")
    files.ca.write_bytes(files.ca.read_bytes() + other.ca_path.read_bytes())
    mixed = settings_file.parent / "mixed"
    mixed.mkdir()
    (mixed / "client.pem").write_bytes(stranger.cert_path.read_bytes())
    (mixed / "client.key").write_bytes(stranger.key_path.read_bytes())
    (mixed / "client.key").chmod(0o600)
    with serving(settings_file, "--certs", str(folder)) as served:
        client = served.client(folder=mixed)
        assert client.send_redpack(packet()).err_code == "CA_ERROR"
        client.close()
        assert served.books.orders() == []


def test_certificates_are_made_once_kept_and_private(tmp_path: Path) -> None:
    """An existing set stays; another merchant or a lost file gives a new one; the p12 opens with mch_id."""
    files = ensure(tmp_path / "certs", "1900000109")
    before = {path: path.read_bytes() for path in files.files()}
    assert all(
        stat.S_IMODE(p.stat().st_mode) == 0o600
        for p in (files.client_key, files.client_p12, files.server_key)
    )
    assert {p.name for p in (tmp_path / "certs").iterdir()} == {p.name for p in files.files()}
    ensure(tmp_path / "certs", "1900000109")
    assert before == {path: path.read_bytes() for path in files.files()}
    assert (
        ClientCertificate.from_p12(files.client_p12, password="1900000109", now_s=time.time()).common_name
        == "1900000109"
    )
    ensure(tmp_path / "certs", "1900000110")
    assert before[files.client] != files.client.read_bytes()
    files.server.write_text("damaged")
    ensure(tmp_path / "certs", "1900000110")
    assert files.server.read_bytes().startswith(b"-----BEGIN")
    files.client_p12.unlink()
    ensure(tmp_path / "certs", "1900000110")
    assert files.client_p12.is_file()


def test_http_manners(settings_file: Path) -> None:
    """Only POST, only the known paths, and the connection is kept."""
    import requests

    with serving(settings_file) as served, requests.Session() as http:
        http.trust_env = False
        http.verify = str(served.certs / "ca.pem")
        http.cert = (str(served.certs / "client.pem"), str(served.certs / "client.key"))
        assert http.get(f"{served.url}/mmpaymkttransfers/gethbinfo", timeout=5).status_code == 405
        assert http.post(f"{served.url}/pay/unifiedorder", timeout=5).status_code == 404
        answer = http.post(
            f"https://localhost:{served.url.rpartition(':')[2]}/mmpaymkttransfers/sendredpack", timeout=5
        )
        assert (answer.status_code, b"XML_ERROR" in answer.content) == (200, True)
        assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"


@pytest.mark.parametrize(
    "options, says",
    [
        (["--faults", '{"slwo": 1}'], "There is no fault slwo"),
        (["--faults", "missing.json"], "missing.json"),
        (["--port", "{taken}"], "is not free"),
        (["--books", "campaign.toml"], "is not the books"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    settings_file: Path, options: list[str], says: str
) -> None:
    """Exit 4, nothing on stdout, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = [o.replace("{taken}", port) if "taken" in o else o for o in options]
        command = [
            sys.executable,
            "-m",
            "campaign",
            "--config",
            str(settings_file),
            "rehearsal",
            "serve",
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=settings_file.parent)
    assert (done.returncode, done.stdout) == (4, "")
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr


# -- gateway.url = "rehearsal"


def processes_naming(folder: Path) -> list[str]:
    """Command lines of live processes that name this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line and "rehearsal serve" in line:
            found.append(line)
    return found


def gone(folder: Path) -> bool:
    deadline = time.monotonic() + 10
    while processes_naming(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes_naming(folder)


def test_two_commands_share_one_implicit_server_which_ends_with_the_last(settings_file: Path) -> None:
    """A reconcile beside a run asks the same gateway; the key is in nobody's command line."""
    settings = load_settings(settings_file)
    folder = folder_of(settings)
    with start(settings) as first:
        with start(settings) as second:
            assert first.url == second.url
            (line,) = processes_naming(folder)
            assert KEY not in line
        assert len(processes_naming(folder)) == 1
    assert gone(folder)
    with start(settings) as third:
        assert third.certificates.ca.is_file()
    assert ReadOnlyBooks(folder / BOOKS).orders() == []


_HOLDER = """
import sys, time
from pathlib import Path
from campaign.config import load_settings
from campaign.rehearsal.local import start
with start(load_settings(Path(sys.argv[1]))) as served:
    print(served.url, flush=True)
    time.sleep(60)
"""


def test_the_implicit_server_dies_with_a_parent_that_was_killed(settings_file: Path) -> None:
    """kill -9 leaves no server behind, and the next command starts a fresh one."""
    settings = load_settings(settings_file)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(settings_file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    ) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        with start(settings) as attached:
            assert attached.url == url
            holder.kill()
            holder.wait()
            time.sleep(0.2)
            assert processes_naming(folder_of(settings)), "somebody still needs it"
        assert gone(folder_of(settings))


def test_an_implicit_server_that_cannot_start_says_why(settings_file: Path) -> None:
    """The child's own words reach the operator."""
    settings_file.write_text(SETTINGS + "faults = { slwo = 1 }\n")
    with pytest.raises(SetupError, match="There is no fault slwo"), start(load_settings(settings_file)):
        pass
