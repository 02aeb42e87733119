"""The notation in which the tests speak of rows, entries and time.

``orders("oA 1.88", "oB 8.88")`` is a sheet of two rows; ``entry(state=State.ACCEPTED)`` is its first row
as the ledger might have it. What a test does not name does not matter to it.
"""

from __future__ import annotations

from typing import Any

from campaign.domain.billno import Tie, mch_billno, repeat_key
from campaign.domain.canonical import canonical_json
from campaign.domain.entry import Entry
from campaign.domain.money import fen_from_yuan
from campaign.domain.order import PacketDefaults, PacketOrder, Source
from campaign.domain.packet import Sender, request_parameters
from campaign.domain.plan import Known
from campaign.domain.state import State

MCH_ID = "1900000109"
CAMPAIGN = "lantern"
SENDER = Sender(mch_id=MCH_ID, wxappid="wx0123456789abcdef", client_ip="192.0.2.10")
DEFAULTS = PacketDefaults(
    send_name="天虹百货", act_name="猜灯谜抢红包", wishing="祝您元宵节快乐!", remark="猜越多得越多,快来抢!"
)
#: 2026-03-03 20:00:00 in Beijing, the lantern festival's evening.
NOW_S = 1_772_539_200.0


def order(line: str, *, row: int = 2, **changes: Any) -> PacketOrder:
    """One row: ``"oA 1.88"``, or ``"7: oA 1.88"`` where an id column says 7.

    Args:
        changes: fields of `PacketOrder` that differ from the settings' values.
    """
    key, colon, rest = line.partition(": ")
    re_openid, yuan = (rest if colon else line).split()
    facts: dict[str, Any] = {
        "source": Source(file="lantern.xlsx", sheet="Sheet1", row=row),
        "row_key": key if colon else re_openid,
        "re_openid": re_openid,
        "total_amount": fen_from_yuan(yuan),
        "wishing": DEFAULTS.wishing,
        "send_name": DEFAULTS.send_name,
        "act_name": DEFAULTS.act_name,
        "remark": DEFAULTS.remark,
    }
    return PacketOrder(**(facts | changes))


def orders(*lines: str, row: int = 2, **changes: Any) -> list[PacketOrder]:
    """The rows of a sheet from row 2 on, in the notation of `order`."""
    return [order(line, row=n, **changes) for n, line in enumerate(lines, row)]


def repeats(*lines: str, row: int = 2) -> list[PacketOrder]:
    """The rows of a sheet as ``--allow-repeats`` reads them: the key is openid + ordinal."""
    counted: dict[str, int] = {}
    rows = []
    for n, line in enumerate(lines, row):
        re_openid = line.split()[0]
        counted[re_openid] = counted.get(re_openid, 0) + 1
        rows.append(order(line, row=n, row_key=repeat_key(re_openid, counted[re_openid])))
    return rows


def tied(line: str, *, key: str, issue: int = 1, row: int = 2, **changes: Any) -> PacketOrder:
    """A row of a fix sheet: it carries the number of the row with that key."""
    return order(line, row=row, tie=Tie(campaign=CAMPAIGN, row_key=key, issue=issue), **changes)


def billno(row: PacketOrder) -> str:
    """The bill number of a row in the campaign `CAMPAIGN`."""
    key, issue = (row.tie.row_key, row.tie.issue) if row.tie else (row.row_key, 1)
    return mch_billno(mch_id=MCH_ID, campaign_id=CAMPAIGN, row_key=key, issue=issue)


def entry(line: str | PacketOrder = "oA 1.88", **changes: Any) -> Entry:
    """The entry of a row, planned unless ``changes`` say otherwise.

    Args:
        changes: fields of `Entry`.
    """
    row = order(line) if isinstance(line, str) else line
    facts: dict[str, Any] = {
        "mch_billno": billno(row),
        "campaign": CAMPAIGN,
        "row_key": row.tie.row_key if row.tie else row.row_key,
        "issue": row.tie.issue if row.tie else 1,
        "sheet": row.source.sheet,
        "row": row.source.row,
        "re_openid": row.re_openid,
        "total_amount": row.total_amount,
        "parameters": request_parameters(row, billno(row), SENDER),
        "own": row.own,
    }
    return Entry(**(facts | changes))


def known(line: str | PacketOrder = "oA 1.88", state: State = State.PLANNED, **changes: Any) -> Known:
    """The same as planning sees it; sent, unless its state says that nothing was."""
    made = entry(line)
    facts: dict[str, Any] = {
        "mch_billno": made.mch_billno,
        "row_key": made.row_key,
        "issue": made.issue,
        "re_openid": made.re_openid,
        "total_amount": made.total_amount,
        "state": state,
        "evidence": None,
        "last_reach": made.last_reach,
        "sent": state not in (State.PLANNED, State.CANCELLED),
        "parameters": canonical_json(made.parameters),
        "own": canonical_json(made.own),
        "sheet": made.sheet,
        "row": made.row,
    }
    return Known(**(facts | changes))


class ManualClock:
    """A `campaign.ports.Clock` that stands still until somebody sleeps, or winds it."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self._now_s = now_s
        self._monotonic_s = 1_000.0
        #: Every wait that was asked for, in order.
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds
        self._monotonic_s += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or, with a negative number, back; no time passes."""
        self._now_s += seconds
