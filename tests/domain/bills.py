"""Funds bills for tests, in few words: ``line("-1.88", "V")`` is a debit whose voucher number is V."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

from campaign.domain.bill import Bill, BillLine, BusinessNames
from campaign.domain.days import moment_s
from campaign.domain.money import fen_from_yuan

NAMES = BusinessNames(
    packets=frozenset({"现金红包", "现金红包退款"}),
    top_ups=frozenset({"充值/提现"}),
    others=frozenset({"交易", "退款"}),
)


def line(
    yuan: str,
    voucher_no: str = "",
    *,
    at: str = "2026-03-03 20:00:30",
    name: str = "现金红包",
    **changes: Any,
) -> BillLine:
    """One movement: out of the account with a minus, into it with a plus."""
    direction, amount = yuan[0], yuan[1:]
    assert direction in "+-"
    facts: dict[str, Any] = {
        "billed_at_s": moment_s(at),
        "business_no": "",
        "flow_id": f"F{at}{yuan}{voucher_no}",
        "business_name": name,
        "business_type": name,
        "incoming": direction == "+",
        "fen": fen_from_yuan(amount),
        "balance_fen": 0,
        "applicant": "API",
        "note": "",
        "voucher_no": voucher_no,
    }
    return BillLine(**(facts | changes))


def bill(
    *lines: BillLine,
    opening_fen: int = 100_000,
    file: str = "b.csv",
    account: str = "",
    days: Iterable[str] = (),
) -> Bill:
    """A file of these lines whose balances follow from the first."""
    numbered = []
    balance_fen = opening_fen
    for number, each in enumerate(lines, start=2):
        balance_fen += each.change_fen
        numbered.append(replace(each, balance_fen=balance_fen, file=file, line=number))
    asked = frozenset(map(date.fromisoformat, days))
    return Bill(file=file, account=account, lines=tuple(numbered), asked_days=asked)
