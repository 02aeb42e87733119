"""The arithmetic of an account: opening + top-ups - sent + refunds + other business = closing (R10.5)."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from campaign.domain.bill import BillLine, Business
from campaign.domain.days import beijing_day, day_range
from campaign.domain.money import yuan_grouped
from campaign.text import Text, text


@dataclass(frozen=True, slots=True)
class Break:
    """A place where an account's arithmetic does not hold."""

    file: str
    line: int
    reason: Text


@dataclass(slots=True, kw_only=True)
class Account:
    """One account over the time of its bills. Amounts are fen."""

    #: ``Basic`` or ``Operation``; empty where nobody said.
    name: str
    first: BillLine
    last: BillLine
    #: Put in, less taken out.
    top_ups_fen: int = 0
    #: Packets of whatever campaign.
    sent_fen: int = 0
    refunded_fen: int = 0
    #: Every other business, in less out.
    other_fen: int = 0

    @property
    def opening_fen(self) -> int:
        """What it held before the first line."""
        return _before_fen(self.first)

    @property
    def closing_fen(self) -> int:
        """What it held after the last line."""
        return self.last.balance_fen

    @property
    def difference_fen(self) -> int:
        """What the lines do not explain: zero, or money moved without a line."""
        moved_fen = self.top_ups_fen - self.sent_fen + self.refunded_fen + self.other_fen
        return self.opening_fen + moved_fen - self.closing_fen


@dataclass(frozen=True, slots=True)
class Segment:
    """The lines of one bill, each with its kind of business."""

    account: str
    lines: Sequence[tuple[BillLine, Business]]


def reckon(segments: Sequence[Segment], covered: Collection[date]) -> tuple[list[Account], list[Break]]:
    """Sum up every account, and name each place where its balance does not follow.

    Args:
        covered: the days that have a bill, be it an empty one.
    """
    accounts: list[Account] = []
    breaks: list[Break] = []
    filled = [segment for segment in segments if segment.lines]
    for segment in sorted(filled, key=lambda segment: segment.lines[0][0].billed_at_s):
        lines = [line for line, _ in segment.lines]
        first, last = lines[0], lines[-1]
        account, fits = _account_before(accounts, segment.account, first, covered)
        if account is None:
            account = Account(name=segment.account, first=first, last=last)
            accounts.append(account)
        elif not fits:
            breaks.append(_gap(account.last, first))
        for line, kind in segment.lines:
            _add(account, line, kind)
        account.last = last
        if _before_fen(first) + sum(line.change_fen for line in lines) != last.balance_fen:
            breaks += _breaks(lines)
    return accounts, breaks


def _before_fen(line: BillLine) -> int:
    return line.balance_fen - line.change_fen


def _account_before(
    accounts: Sequence[Account], name: str, first: BillLine, covered: Collection[date]
) -> tuple[Account | None, bool]:
    """The account that goes on with this line, and whether its balance does; None where a new one begins.

    Bills do not say whose they are. Where nobody said, balances lead from one to the next, and two bills
    of one day are two accounts. After a day without a bill the reckoning begins anew.
    """
    same = [account for account in accounts if account.name == name]
    for account in reversed(same):
        if account.closing_fen == _before_fen(first):
            return account, True
    day = beijing_day(first.billed_at_s)
    for account in reversed(same):
        last = beijing_day(account.last.billed_at_s)
        whole = all(between in covered for between in day_range(last, day))
        if whole and (name or (len(same) == 1 and last < day)):
            return account, False
    return None, True


def _add(account: Account, line: BillLine, kind: Business) -> None:
    match kind:
        case Business.PACKET if line.incoming:
            account.refunded_fen += line.fen
        case Business.PACKET:
            account.sent_fen += line.fen
        case Business.TOP_UP:
            account.top_ups_fen += line.change_fen
        case Business.OTHER | Business.UNKNOWN:
            account.other_fen += line.change_fen
        case _:
            assert_never(kind)


def _gap(last: BillLine, first: BillLine) -> Break:
    return Break(
        first.file,
        first.line,
        text(
            "the account held {before} yuan after {file}, line {line}, and {after} yuan before this line: "
            "lines between them are missing, or the bills are of two accounts",
            before=yuan_grouped(last.balance_fen),
            file=last.file,
            line=last.line,
            after=yuan_grouped(_before_fen(first)),
        ),
    )


def _breaks(lines: Sequence[BillLine]) -> Iterator[Break]:
    for before, line in itertools.pairwise(lines):
        should_fen = before.balance_fen + line.change_fen
        if should_fen != line.balance_fen:
            yield Break(
                line.file,
                line.line,
                text(
                    "the account should hold {should} yuan after this line, and it says {says}: the line was "
                    "altered, or one before it is missing or too many",
                    should=yuan_grouped(should_fen),
                    says=yuan_grouped(line.balance_fen),
                ),
            )


def check_balances(
    accounts: Sequence[Account], *, opening_fen: int | None = None, closing_fen: int | None = None
) -> list[Text]:
    """How the accounts' first and last balances differ from what somebody knows them to be."""
    opening = sum(account.opening_fen for account in accounts)
    closing = sum(account.closing_fen for account in accounts)
    problems = []
    if opening_fen not in (None, opening):
        problems.append(
            text(
                "the account should open with {said} yuan, and the bill opens with {found}",
                said=yuan_grouped(opening_fen or 0),
                found=yuan_grouped(opening),
            )
        )
    if closing_fen not in (None, closing):
        problems.append(
            text(
                "the account should close with {said} yuan, and the bill closes with {found}",
                said=yuan_grouped(closing_fen or 0),
                found=yuan_grouped(closing),
            )
        )
    return problems
