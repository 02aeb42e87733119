"""The night run: ask whatever is due, match the bills of the days before, write the reports that have news.

Each part goes on when another one fails: an unreachable gateway is no reason to leave finance without a
report. Missed nights need nothing special, since due is due and days without a bill are remembered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from campaign.domain.account import Break
from campaign.domain.bill import Bill
from campaign.domain.campaign import HaltReason
from campaign.domain.days import beijing_day, day_range
from campaign.domain.deadline import BILL_WINDOW_S, Deadline
from campaign.domain.entry import Todo
from campaign.domain.finding import Finding
from campaign.domain.matching import Match
from campaign.errors import CampaignError, NotFinished
from campaign.ledger.nights import Memory
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.stages.deadlines import deadlines
from campaign.stages.match import keep, touched
from campaign.stages.reconcile import reconcile
from campaign.stages.shift import Desk, Shift
from campaign.stages.standing import Standing, standing
from campaign.wechat.answers import refused_settings

#: WeChat Pay makes a day's bill the next morning (R10.2); two days later a missing one is a failure.
_BILL_PATIENCE: Final = timedelta(days=2)
_BILLS_KEPT: Final = timedelta(seconds=BILL_WINDOW_S)


class Log(Protocol):
    """One line of structured log per event: a name in English, and facts without openids or secrets."""

    def info(self, event: str, /, **facts: Any) -> Any:
        """Something happened."""

    def error(self, event: str, /, **facts: Any) -> Any:
        """Something failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a night works with: the real things, or a test's."""

    ledger: Ledger
    clock: Clock
    log: Log
    #: Tries a campaign's lock.
    hold: Callable[[str], AbstractContextManager[bool]]
    #: Opens the gateway; called only if anything is due.
    desk: Callable[[], AbstractContextManager[Desk]]
    #: Opens the way to the funds bills of a day; None where no bills are matched at night.
    bills: Callable[[], AbstractContextManager[Callable[[date], list[Bill]]]] | None
    match: Callable[[str, Sequence[Bill]], Match]
    #: Writes a campaign's report.
    report: Callable[[str], list[Path]]
    #: Whether a report is there, so that one that was taken away is written again.
    has_report: Callable[[str], bool]
    stopped: Callable[[], bool] = lambda: False


@dataclass(slots=True, kw_only=True)
class CampaignNight:
    """What the night brought for one campaign."""

    standing: Standing
    deadlines: list[Deadline]
    questions: int = 0
    repeats: int = 0
    #: What the bills contradict about its rows, as no night before has told.
    findings: list[Finding] = field(default_factory=list)
    #: All that its last match contradicts, told before or not.
    discrepancies: int = 0
    #: The report, where it was written anew.
    files: list[Path] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BillNight:
    """What the bills brought beside the campaigns' rows."""

    days: list[date] = field(default_factory=list)
    missing: list[date] = field(default_factory=list)
    #: Lines that no campaign explains, and that no night before has told.
    findings: list[Finding] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    #: Files that contradict their own summary.
    flawed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether the bills hold no riddle of their own."""
        return not (self.findings or self.breaks or self.flawed)


@dataclass(slots=True, kw_only=True)
class Night:
    """What one night brought."""

    campaigns: list[CampaignNight] = field(default_factory=list)
    bill: BillNight = field(default_factory=BillNight)
    failures: list[CampaignError] = field(default_factory=list)
    interrupted: bool = False

    @property
    def findings(self) -> list[Finding]:
        """All that the bills contradict."""
        return [finding for each in self.campaigns for finding in each.findings] + self.bill.findings


def night(watch: Watch, memory: Memory) -> Night:
    """Do one night's work, and change ``memory`` into what the next night has to know.

    Where the memory says that nobody was told of the last one, all that the bills contradict is brought
    again: a repeat is better than silence.
    """
    result = Night()
    names = [campaign.name for campaign in watch.ledger.campaigns()]
    watch.log.info("night_started", campaigns=len(names))
    shifts = _asked(watch, names, result)
    result.interrupted = watch.stopped()
    found: dict[str, list[Finding]] = {}
    if names and not result.interrupted:
        found = _matched(watch, names, result, memory)
    for name in names:
        shift = shifts.get(name)
        now_s = watch.clock.now_s()
        result.campaigns.append(
            CampaignNight(
                standing=standing(watch.ledger, name, now_s=now_s, halt=shift.halt if shift else None),
                deadlines=deadlines(watch.ledger, name, now_s=now_s),
                questions=shift.questions if shift else 0,
                repeats=shift.requests if shift else 0,
                findings=found.get(name, []),
                discrepancies=sum(1 for _ in watch.ledger.findings(name)),
                files=[] if watch.stopped() else _reported(watch, name, result, memory),
            )
        )
    memory.ended_s = watch.clock.now_s()
    if not result.failures and not result.interrupted:
        memory.succeeded_s = memory.ended_s
        memory.untold = False
    return result


# Asking


def _asked(watch: Watch, names: Sequence[str], result: Night) -> dict[str, Shift]:
    """Reconcile every campaign, if anything is due at all."""
    now_s = watch.clock.now_s()
    if not any(watch.ledger.due(now_s=now_s, todo=todo, limit=1) for todo in Todo):
        return {}
    shifts: dict[str, Shift] = {}
    with _noted(watch, result, "reconcile_failed"), watch.desk() as desk:
        for name in names:
            with _noted(watch, result, "reconcile_failed", campaign=name):
                shifts |= reconcile(desk, [name], hold=watch.hold)
            if name in shifts:
                _note_shift(watch, result, shifts[name])
    return shifts


def _note_shift(watch: Watch, result: Night, shift: Shift) -> None:
    totals = watch.ledger.totals(shift.campaign)
    watch.log.info(
        "reconciled",
        campaign=shift.campaign,
        questions=shift.questions,
        repeats=shift.requests,
        halted=shift.halt.reason.value if shift.halt else None,
        rows={state.value: rows for state, (rows, _) in totals.items() if rows},
    )
    if shift.halt and shift.halt.reason is HaltReason.SETTINGS:
        refused = refused_settings(shift.halt.err_code)
        if all(error.message != refused.message for error in result.failures):  # every campaign meets it
            result.failures.append(refused)


# Matching


def _matched(watch: Watch, names: Sequence[str], result: Night, memory: Memory) -> dict[str, list[Finding]]:
    """Fetch the bills that are still missing, match them, and give each campaign what is new about its rows.

    What a match brings is kept in the ledger; what stood there before was told by an earlier night, unless
    the memory says that it was not.
    """
    if watch.bills is None:
        return {}
    ledger, bills, again = watch.ledger, _fetched(watch, result, memory), memory.untold
    matches: dict[str, Match] = {}
    for name in _to_match(ledger, names, bills, again=again):
        with _noted(watch, result, "match_failed", campaign=name):
            matches[name] = watch.match(name, bills)
    _drop_explained(matches)
    fresh = {bill.file for bill in bills}
    rows: dict[str, list[Finding]] = {}
    loose: dict[tuple[str, ...], Finding] = {}
    gaps: dict[tuple[str, int], Break] = {}
    told = {f.key for name in matches if not again for f in ledger.findings(name)}
    for name, found in matches.items():
        with _noted(watch, result, "match_failed", campaign=name):
            keep(ledger, name, found, now_s=watch.clock.now_s())
            new = [finding for finding in found.findings if finding.key not in told]
            rows[name] = [finding for finding in new if finding.entry]
            loose |= {finding.key: finding for finding in new if not finding.entry}
            # A campaign sees the bills of its own days, so another one may see a gap that it does not.
            gaps |= {(each.file, each.line): each for each in found.breaks if again or each.file in fresh}
            watch.log.info("matched", campaign=name, clean=found.clean, findings=len(new))
    result.bill.findings = list(loose.values())
    result.bill.breaks = list(gaps.values())
    seen = [*bills, *(bill for found in matches.values() for bill in found.bills if again)]
    result.bill.flawed = list(dict.fromkeys(bill.file for bill in seen if bill.flaw))
    return rows


def _to_match(ledger: Ledger, names: Sequence[str], bills: Sequence[Bill], *, again: bool) -> list[str]:
    """The campaigns whose money can stand on these bills, and those with news since they were matched.

    Args:
        again: those that were matched before are matched once more.
    """
    days = {day for bill in bills for day in bill.days}
    found = []
    for name in names:
        moved = touched(ledger, name)
        news = ledger.has_news(name) or (again and ledger.matched(name))
        if moved and (news or any(moved[0] <= day <= moved[1] for day in days)):
            found.append(name)
    # A line that no campaign explains is named even where no campaign is near.
    return found or list(names[-1:] if bills else ())


def _drop_explained(matches: Mapping[str, Match]) -> None:
    """A line is nobody's only if it is no campaign's: where numbers are missing, each knows its own only."""
    counts = {
        name: Counter(finding.key for finding in found.findings if not finding.entry)
        for name, found in matches.items()
    }
    files = {name: {bill.file for bill in found.bills} for name, found in matches.items()}
    for found in matches.values():
        seen: Counter[tuple[str, ...]] = Counter()
        kept = []
        for finding in found.findings:
            if not finding.entry:
                seen[finding.key] += 1
                others = (name for name in matches if finding.lines[0].file in files[name])
                if seen[finding.key] > min(counts[name][finding.key] for name in others):
                    continue
            kept.append(finding)
        found.findings = kept


def _fetched(watch: Watch, result: Night, memory: Memory) -> list[Bill]:
    """The bills of every day that was not fetched yet, up to yesterday."""
    yesterday = beijing_day(watch.clock.now_s()) - timedelta(days=1)
    first = memory.billed_until + timedelta(days=1) if memory.billed_until else yesterday
    wanted = [*memory.bills_missing, *day_range(first, yesterday)]
    wanted = [day for day in wanted if yesterday - day < _BILLS_KEPT]
    bills: list[Bill] = []
    assert watch.bills is not None
    with _noted(watch, result, "bills_failed"), watch.bills() as fetch:
        for day in wanted:
            try:
                of_day = fetch(day)
            except NotFinished as error:
                watch.log.info("bill_missing", day=day.isoformat(), why=str(error))
                if yesterday - day >= _BILL_PATIENCE:
                    result.failures.append(error)
            except CampaignError as error:
                _fail(watch, result, "bill_failed", error, day=day.isoformat())
            else:
                if any(day not in bill.days for bill in of_day):  # "no bill" before it was surely made
                    watch.log.info("bill_missing", day=day.isoformat(), why="asked too early")
                    continue
                with _noted(watch, result, "bill_failed", day=day.isoformat()):
                    # Kept whatever becomes of the match, since it is not fetched again.
                    with watch.ledger.atomic():
                        for bill in of_day:
                            watch.ledger.keep_bill(bill, watch.clock.now_s())
                    bills += of_day
                    result.bill.days.append(day)
                    watch.log.info("bill_fetched", day=day.isoformat())
    result.bill.missing = [day for day in wanted if day not in result.bill.days]
    memory.bills_missing = result.bill.missing
    memory.billed_until = max(yesterday, memory.billed_until or yesterday)
    return bills


# Reporting


def _reported(watch: Watch, name: str, result: Night, memory: Memory) -> list[Path]:
    """Write the campaign's report if the ledger has news of it."""
    last = watch.ledger.last_event(name)
    if memory.reported.get(name) == last and watch.has_report(name):
        return []
    files: list[Path] = []
    with _noted(watch, result, "report_failed", campaign=name):
        files = watch.report(name)
        memory.reported[name] = last
        watch.log.info("report_written", campaign=name, files=[str(file) for file in files])
    return files


# Failing


@contextmanager
def _noted(watch: Watch, result: Night, event: str, **facts: object) -> Iterator[None]:
    """Let the rest of the night go on when this part fails."""
    try:
        yield
    except CampaignError as error:
        _fail(watch, result, event, error, **facts)


def _fail(watch: Watch, result: Night, event: str, error: CampaignError, **facts: object) -> None:
    result.failures.append(error)
    watch.log.error(event, kind=type(error).__name__, why=str(error), **facts)
