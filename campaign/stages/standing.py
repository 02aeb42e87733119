"""Where a campaign stands: the one source of the answers of run, status and reconcile."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from campaign.domain.billno import ISSUE_MAX, mch_billno
from campaign.domain.campaign import Campaign, Halt, HaltReason
from campaign.domain.entry import Entry
from campaign.domain.finding import Kind
from campaign.domain.state import TAKEN, State
from campaign.domain.verdict import Need, is_dead, needs_person
from campaign.ledger.store import Ledger
from campaign.wechat.answers import explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One campaign at one moment."""

    campaign: Campaign
    #: state -> (rows, fen); states without rows are left out.
    totals: dict[State, tuple[int, int]]
    halt: Halt | None
    #: Entries that a person has to look at, in sheet order, with the reason; the last match's findings too.
    needs: tuple[tuple[Entry, Need], ...]
    #: Planned rows that no run sends, since they may have been paid under an earlier number.
    held: int = 0

    @property
    def rows(self) -> int:
        """All entries of the campaign."""
        return sum(rows for rows, _ in self.totals.values())

    @property
    def total_fen(self) -> int:
        """The money of all entries, whatever became of it."""
        return sum(fen for _, fen in self.totals.values())


def standing(ledger: Ledger, name: str, *, now_s: float, halt: Halt | None = None) -> Standing:
    """Read where the campaign stands. The campaign exists.

    Args:
        halt: why the work that was just done on it ended early; else what the ledger remembers holds.
    """
    campaign = ledger.campaign(name)
    assert campaign is not None
    cancelled = campaign.cancelled_at_s is not None
    needs = found_in_bills(ledger, name)
    for entry in ledger.needs_person(name, now_s):
        _, found = needs.get(entry.mch_billno, (None, None))
        need = needs_person(
            entry,
            now_s=now_s,
            explain=explain,
            issued_again=issued_again(ledger, entry),
            cancelled=cancelled,
            found=found,
        )
        if need:
            needs[entry.mch_billno] = entry, need
    totals = ledger.totals(name)
    return Standing(
        campaign=campaign,
        totals={state: totals[state] for state in State if totals[state][0]},
        halt=halt or current_halt(ledger, campaign),
        needs=tuple(sorted(needs.values(), key=lambda each: (each[0].sheet, each[0].row))),
        held=ledger.held(name)[0],
    )


def found_in_bills(ledger: Ledger, campaign: str) -> dict[str, tuple[Entry, Need]]:
    """What the last match with the funds bills found about rows, the loudest of each, by bill number."""
    found: dict[str, tuple[Entry, Need]] = {}
    for each in ledger.findings(campaign):
        # That a packet is not on the bill is no news any more once WeChat Pay does not call it paid, either.
        overtaken = each.kind is Kind.NOT_IN_BILL and each.entry and each.entry.state not in TAKEN
        if each.entry is not None and not overtaken:
            need = Need(reason=each.reason, advice=each.advice, owner=each.owner)
            found.setdefault(each.entry.mch_billno, (each.entry, need))
    return found


def issued_again(ledger: Ledger, entry: Entry, *, but: Container[str] = ()) -> bool:
    """Whether a dead row has its next number in the ledger already: that entry speaks for the row.

    Args:
        but: numbers that do not count, as if they had not been planned yet.
    """
    if not is_dead(entry) or entry.issue == ISSUE_MAX:
        return False
    following = mch_billno(
        mch_id=entry.parameters["mch_id"],
        campaign_id=entry.campaign,
        row_key=entry.row_key,
        issue=entry.issue + 1,
    )
    return following not in but and ledger.entry(following) is not None


def current_halt(ledger: Ledger, campaign: Campaign) -> Halt | None:
    """Why the campaign is not finished: the recorded reason while it holds, or that rows wait."""
    if campaign.cancelled_at_s is not None:
        # What was left in doubt is still asked about; nothing else is done.
        due_s = ledger.next_due_s(campaign.name, planned=False, polls=False)
        return None if due_s is None else Halt(reason=HaltReason.WAITING, until_s=due_s, cancelled=True)
    totals = ledger.totals(campaign.name)
    planned, _ = ledger.waiting(campaign.name)
    due_s = ledger.next_due_s(campaign.name, planned=True, polls=False)
    stopped = campaign.halt is not None and campaign.halt.reason is not HaltReason.WAITING
    # Even with every row tried, the next command repeats what an empty account or a limit held back.
    held_back = stopped and totals[State.IN_DOUBT][0] + totals[State.PARKED][0] > 0
    if not planned and due_s is None and not held_back:
        return None
    if stopped:
        return campaign.halt
    return replace(campaign.halt or Halt(reason=HaltReason.WAITING), until_s=due_s)
