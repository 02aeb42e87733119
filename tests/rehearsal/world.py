"""A merchant, a clock that only moves when told to, and a way to ask the rules in a few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from campaign.domain.days import moment_s
from campaign.rehearsal.books import Books
from campaign.rehearsal.faults import Faults
from campaign.rehearsal.memory import MemoryTransport
from campaign.rehearsal.replies import Reply
from campaign.rehearsal.rules import RehearsalMerchant, Rules
from campaign.wechat.envelope import Fields, from_xml, to_xml
from campaign.wechat.signing import sign_md5

KEY = "192006250b4c09247ec02edce69f6a2d"
MERCHANT = RehearsalMerchant(
    mch_id="1900000109", wxappid="wx0123456789abcdef", api_key=KEY, keeps_blocked=0.0, sends_per_second=0
)
SEND = "/mmpaymkttransfers/sendredpack"
MINI = "/mmpaymkttransfers/sendminiprogramhb"
GROUP = "/mmpaymkttransfers/sendgroupredpack"
ASK = "/mmpaymkttransfers/gethbinfo"
#: A Sunday noon in Beijing.
NOON_S = moment_s("2026-11-22 12:00:00")


class Clock:
    """Virtual time."""

    def __init__(self) -> None:
        self.at_s = NOON_S

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def number(n: int) -> str:
    return f"190000010920261122{n:010d}"


def packet(n: int = 1, openid: str = "oAlice", fen: int = 188, **changes: str) -> dict[str, str]:
    """The request of the n-th packet, unsigned; a change to "" leaves the field out."""
    parameters = {
        "act_name": "猜灯谜抢红包",
        "client_ip": "192.0.2.10",
        "mch_billno": number(n),
        "mch_id": "1900000109",
        "nonce_str": f"NONCE{n:020d}",
        "re_openid": openid,
        "remark": "A&B <test> ]]>",
        "send_name": "天虹百货",
        "total_amount": str(fen),
        "total_num": "1",
        "wishing": "祝您元宵节快乐!",
        "wxappid": "wx0123456789abcdef",
    }
    return {name: value for name, value in (parameters | changes).items() if value}


def question(n: int = 1, **changes: str) -> dict[str, str]:
    """The question about the n-th packet, unsigned."""
    parameters = {
        "appid": "wx0123456789abcdef",
        "bill_type": "MCHT",
        "mch_billno": number(n),
        "mch_id": "1900000109",
        "nonce_str": f"NONCE{n:020d}",
    }
    return {name: value for name, value in (parameters | changes).items() if value}


def signed(parameters: dict[str, str], key: str = KEY) -> bytes:
    return to_xml({**parameters, "sign": sign_md5(parameters, key)})


class World:
    """The rules with their books in memory."""

    def __init__(
        self,
        faults: dict[str, Any] | None = None,
        *,
        seed: int = 1,
        balance_fen: int = 1_000_000,
        books: Books | None = None,
        **merchant: Any,
    ) -> None:
        self.clock = Clock()
        self.books = books or Books(balance_fen=balance_fen, now_s=NOON_S)
        self.rules = Rules(
            self.books,
            replace(MERCHANT, **merchant),
            clock=self.clock,
            faults=Faults.parse(faults or {}),
            seed=seed,
        )
        self.transport = MemoryTransport(self.rules)

    def reply(self, parameters: dict[str, str], path: str = SEND) -> Reply:
        return self.rules.handle(path, signed(parameters))

    def send(self, n: int = 1, openid: str = "oAlice", fen: int = 188, **changes: str) -> Fields:
        return from_xml(self.transport.post(SEND, signed(packet(n, openid, fen, **changes))))

    def send_quietly(self, n: int = 1) -> None:
        """Send, whatever comes back."""
        self.rules.handle(SEND, signed(packet(n)))

    def ask(self, n: int = 1, **changes: str) -> Fields:
        return from_xml(self.transport.post(ASK, signed(question(n, **changes))))

    def status(self, n: int = 1) -> str:
        """The order's status, or the error code of the question."""
        answer = self.ask(n)
        return str(answer.get("status") or answer["err_code"])

    def paid(self, n: int = 1) -> int:
        """How often money left for a number."""
        return sum(m.kind == "packet" and m.mch_billno == number(n) for m in self.books.money())

    def later(self, *, s: float = 0, h: float = 0, days: float = 0) -> None:
        self.clock.at_s += s + 3600 * h + 86400 * days
