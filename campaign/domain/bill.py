"""The funds bill (资金账单, R10): every movement of one of the merchant's accounts at WeChat Pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, Self

from campaign.domain.days import beijing_day, day_range
from campaign.text import Text


@dataclass(frozen=True, slots=True)
class BillLine:
    """One movement of money. Equal lines are the same movement, wherever they were read."""

    #: When the account changed, in Unix seconds; not when a packet was opened.
    billed_at_s: float
    #: 微信支付业务单号; for packets plausibly ``send_listid`` (R10.1).
    business_no: str
    #: 资金流水单号: the movement's own number.
    flow_id: str
    business_name: str
    business_type: str
    #: 收支类型: 收入 rather than 支出.
    incoming: bool
    #: The amount, never negative.
    fen: int
    #: What the account held afterwards.
    balance_fen: int
    applicant: str
    #: 备注, its line breaks restored; for people only.
    note: str
    #: 业务凭证号; for packets plausibly ``mch_billno`` (R10.1).
    voucher_no: str
    #: Where it was read: the file as people know it, and the line as an editor counts it.
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def change_fen(self) -> int:
        """What the movement did to the account."""
        return self.fen if self.incoming else -self.fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One file of movements, read and checked against its own summary."""

    #: As people know it.
    file: str
    #: ``Basic`` or ``Operation``; empty where nobody said.
    account: str = ""
    lines: tuple[BillLine, ...] = ()
    #: SHA-1 of the uncompressed file, as WeChat Pay's digest has it (R10.3).
    sha1: str = ""
    #: How the lines contradict the bill's own summary; None where they do not.
    flaw: Text | None = None
    #: The Beijing days that it is known to cover; empty where only its lines tell.
    asked_days: frozenset[date] = frozenset()
    #: The file as it came, to be kept as evidence; empty where there was no bill of these days.
    content: bytes = field(default=b"", repr=False, compare=False)

    @property
    def days(self) -> frozenset[date]:
        """The Beijing days whose movements it holds: those asked for, else those of its lines."""
        if self.asked_days or not self.lines:
            return self.asked_days
        times = [line.billed_at_s for line in self.lines]
        first, last = beijing_day(min(times)), beijing_day(max(times))
        return frozenset(day_range(first, last))


class Business(StrEnum):
    """What kind of business a line tells of, by its configured names."""

    PACKET = "packet"
    #: Money put in or taken out.
    TOP_UP = "top_up"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessNames:
    """业务名称 or 业务类型 by kind. WeChat Pay publishes none for packets and changes the others (R10.4)."""

    packets: frozenset[str] = frozenset()
    top_ups: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def kind_of(self, line: BillLine) -> Business:
        """The kind of business of a line, by its name or its type."""
        names = {line.business_name, line.business_type}
        if names & self.packets:
            return Business.PACKET
        if names & self.top_ups:
            return Business.TOP_UP
        return Business.OTHER if names & self.others else Business.UNKNOWN


@dataclass(frozen=True, slots=True)
class Billed:
    """What the funds bills have for one row. Amounts are fen; None where they have nothing."""

    lines: tuple[BillLine, ...] = ()
    #: The debits' sum, and the moment of the last.
    paid_fen: int | None = None
    paid_at_s: float | None = None
    #: The same of the refunds.
    back_fen: int | None = None
    back_at_s: float | None = None

    @classmethod
    def of(cls, lines: Sequence[BillLine]) -> Self:
        """Sum up a row's lines."""
        debits = [line for line in lines if not line.incoming]
        refunds = [line for line in lines if line.incoming]
        return cls(
            lines=tuple(lines),
            paid_fen=sum(line.fen for line in debits) if debits else None,
            paid_at_s=max((line.billed_at_s for line in debits), default=None),
            back_fen=sum(line.fen for line in refunds) if refunds else None,
            back_at_s=max((line.billed_at_s for line in refunds), default=None),
        )


NOT_BILLED: Final = Billed()
