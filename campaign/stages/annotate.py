"""The operator's own workbook back: before a run with its problems, after it with what became of each row."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Final

from campaign.domain.answer import Reach
from campaign.domain.billno import Tie, mch_billno
from campaign.domain.days import beijing_text, moment_s
from campaign.domain.entry import Entry
from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_grouped
from campaign.domain.occurrences import rows_text
from campaign.domain.order import PacketOrder, RowProblem
from campaign.domain.state import Evidence, State
from campaign.domain.summary import sent_at_s
from campaign.domain.verdict import (
    OWNER_TEXT,
    VERDICT_TEXT,
    Owner,
    Verdict,
    evidence,
    needs_person,
    verdict,
)
from campaign.errors import UsageError
from campaign.ledger.store import Ledger
from campaign.report.files import new_file
from campaign.report.lines import REHEARSAL_BANNER, Facts, Say
from campaign.sheet import Reading, ReadOptions
from campaign.sheet.annotate import Heading, Mark, Tone, annotate, keeps_macros
from campaign.sheet.columns import ANNOTATION, NUMBERED, Columns, column_letters
from campaign.sheet.fix import FixSheet, certain_ties, fix_sheet, problems_by_row, without_mended
from campaign.sheet.preview import Card, Preview
from campaign.sheet.reader import open_list
from campaign.sheet.write import WARNING
from campaign.stages.standing import found_in_bills
from campaign.text import Text, text
from campaign.wechat.answers import explain

#: So many packets are drawn, and looked for in so many rows.
_CARDS: Final = 6
_LOOKED_AT: Final = 100
#: Refusals that are about one cell. An openid that is refused has to become another one.
_CELL_OF: Final = {"OPENID_ERROR": "re_openid", "MONEY_LIMIT": "total_amount"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotating:
    """What is written, and for whom."""

    sheet: Path
    #: With which the sheet was read.
    options: ReadOptions
    campaign: str
    #: The workbook, and the fix sheet beside it.
    out: Path
    fix: Path
    say: Say
    force: bool = False

    def refuse_bad_names(self) -> None:
        """Stop before anything is written.

        Raises:
            UsageError: a file would be written over, or has a name that Excel would refuse.
        """
        kinds = [".xlsm"] if self.out.suffix.lower() == ".xlsm" and keeps_macros(self.sheet) else [".xlsx"]
        for path, suffixes in ((self.out, kinds), (self.fix, [".xlsx"])):
            if path.suffix.lower() not in suffixes:
                raise UsageError(
                    text("{file}: the name has to end with {suffix}", file=str(path), suffix=suffixes[0]),
                    advice=text("Only a copy of a workbook with macros may be called .xlsm."),
                )
            same = path.exists() and path.samefile(self.sheet)
            if same or (not self.force and (path.exists() or path.is_symlink())):
                raise UsageError(
                    text("{file} is there already", file=str(path)),
                    advice=text("Name another file; the sheet itself is never written over.")
                    if same
                    else text("Add --force to write over it, or name another file."),
                )
        if self.out == self.fix:
            raise UsageError(
                text("{file} cannot be both the workbook and the fix sheet", file=str(self.out)),
                advice=text("Name another file."),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """What was written."""

    files: tuple[Path, ...]
    #: What the workbook lacks, and what can be corrected where.
    notes: tuple[Text, ...]


def annotate_check(job: Annotating, reading: Reading) -> Annotated:
    """Mark the problems that ``check`` found; the fix sheet has the rows that can be corrected there.

    Raises:
        SheetRejected, SetupError: the sheet cannot be read (any more).
        StorageError: a file could not be written.
    """
    ties = certain_ties(reading, job.campaign)
    problems = problems_by_row(reading.problems)
    sheet = FixSheet(rows=(), own_headers=(), columns={}, ids=reading.key_column == "id")
    if ties:
        reasons = {row: _told(problems[row], job.say) for row in ties}
        sheet = without_mended(fix_sheet(job.sheet, job.options, ties, reasons, ids=sheet.ids), job.options)
    there = {row.tie for row in sheet.rows}
    rows = _CheckRows(job, problems, {row: tie for row, tie in ties.items() if tie in there})
    problem_rows = sorted(row for row in problems if row)
    marks = rows.marks(reading.orders, problem_rows)
    notes = _write_workbook(job, _check_headings(job), marks, _preview(job, reading))
    left = [row for row in problem_rows if row in reading.flawed and ties.get(row) not in there]
    return _with_fix_sheet(job, sheet, notes, left)


def annotate_report(job: Annotating, ledger: Ledger, reading: Reading, *, facts: Facts) -> Annotated:
    """Say beside each row what became of it; the fix sheet has those refused before an order was stored.

    Each row is found by its number, so the sheet may have been sorted or extended since.

    Raises:
        SheetRejected, SetupError: the sheet cannot be read (any more).
        StorageError: a file could not be written.
    """
    columns = open_list(job.sheet, job.options).columns
    rows = _ReportRows(job, ledger, problems_by_row(reading.problems), columns, facts)
    ties = certain_ties(reading, job.campaign)
    notes = _write_workbook(job, _report_headings(job, facts), rows.marks(reading, ties))
    sheet = fix_sheet(
        job.sheet, job.options, rows.to_fix, rows.reasons, ids=facts.campaign.key_column == "id"
    )
    return _with_fix_sheet(job, sheet, notes, rows.only_original)


def _write_workbook(
    job: Annotating, headings: Sequence[Heading], marks: Iterable[Mark], preview: Preview | None = None
) -> tuple[Text, ...]:
    with new_file(job.out) as path:
        return annotate(job.sheet, path, job.options, headings=headings, marks=marks, preview=preview)


def _with_fix_sheet(
    job: Annotating, sheet: FixSheet, notes: tuple[Text, ...], left: Sequence[int]
) -> Annotated:
    """Write the fix sheet, unless it were empty, and say what is corrected where."""
    files = [job.out]
    told = list(notes)
    if sheet.rows:
        with new_file(job.fix) as path:
            sheet.write(path, mch_id=job.options.mch_id, warning=job.say(WARNING))
        files.append(job.fix)
        told.append(
            text(
                "Rows to be corrected in {fix}: {rows}. Correct them there, or in {sheet}, and run that "
                "file, or both in any order: a row is the same packet in both.",
                rows=len(sheet.rows),
                fix=job.fix.name,
                sheet=job.sheet.name,
            )
        )
    if left:
        told.append(
            text(
                "To be corrected in {sheet} itself: {rows}. There the packet's number comes from what is "
                "wrong, or what is wrong is not in a value.",
                sheet=job.sheet.name,
                rows=rows_text(left),
            )
        )
    if sheet.rows or left:
        told.append(
            text(
                "These rows belong to the campaign {campaign}: {sheet} has to be run under that name "
                "(--name).",
                campaign=job.campaign,
                sheet=job.sheet.name,
            )
        )
    return Annotated(files=tuple(files), notes=tuple(told))


# Columns


def _heading(job: Annotating, title: Text, width: int) -> Heading:
    return Heading(title=f"{ANNOTATION}{job.say(title)}", width=width)


def _first_headings(job: Annotating, banner: str = "") -> list[Heading]:
    first = _heading(job, text("verdict"), 28)
    return [
        replace(first, title=f"{first.title} {banner}".strip()),
        _heading(job, text("reason"), 48),
        _heading(job, text("who acts"), 20),
        _heading(job, text("next step"), 48),
    ]


def _number_heading(job: Annotating) -> Heading:
    return Heading(title=f"{NUMBERED}{job.campaign}", width=32)


def _check_headings(job: Annotating) -> list[Heading]:
    preview = _heading(job, text("as the person will see it"), 40)
    return [*_first_headings(job), preview, _number_heading(job)]


def _report_headings(job: Annotating, facts: Facts) -> list[Heading]:
    times = (text("sent"), text("opened"), text("came back"))
    banner = REHEARSAL_BANNER if facts.rehearsal else ""
    return [
        *_first_headings(job, banner),
        *(_heading(job, title, 20) for title in times),
        _number_heading(job),
    ]


# Rows before a run


class _CheckRows:
    """Marks for what ``check`` found."""

    def __init__(
        self, job: Annotating, problems: Mapping[int, Sequence[RowProblem]], fixable: Mapping[int, Tie]
    ) -> None:
        self._job, self._problems, self._fixable = job, problems, fixable

    def marks(self, orders: Iterable[PacketOrder], problem_rows: Iterable[int]) -> Iterator[Mark]:
        """By ascending row."""
        good = (self._good(order) for order in orders)
        bad = (self._bad(row) for row in problem_rows)
        return heapq.merge(good, bad, key=attrgetter("row"))

    def _good(self, order: PacketOrder) -> Mark:
        job = self._job
        whole = self._problems.get(0, ())
        tie = order.tie or Tie(campaign=job.campaign, row_key=order.row_key, issue=1)
        says = text("can be paid") if not whole else text("the sheet as a whole cannot be paid as it stands")
        preview = preview_text(order)
        return Mark(
            row=order.source.row,
            tone=Tone.OPEN if whole else Tone.GOOD,
            values=(
                job.say(says),
                _told(whole, job.say),
                job.say(OWNER_TEXT[Owner.OPERATOR]) if whole else "",
                _advice(whole, job.say),
                job.say(preview),
                _number(tie, job),
            ),
        )

    def _bad(self, row: int) -> Mark:
        job, problems = self._job, self._problems[row]
        tie = self._fixable.get(row)
        return Mark(
            row=row,
            tone=Tone.BAD,
            values=(
                job.say(text("cannot be paid as it stands")),
                _told(problems, job.say),
                job.say(OWNER_TEXT[Owner.OPERATOR]),
                _advice(problems, job.say),
                "",
                _number(tie, job) if tie else "",
            ),
            cells=_comments(problems, job.say),
        )


def _preview(job: Annotating, reading: Reading) -> Preview | None:
    """The first packets, drawn; None where nothing can be paid."""
    say = job.say
    cards = [
        Card(
            send_name=order.send_name,
            wishing=order.wishing,
            amount=say(text("{yuan} yuan", yuan=yuan_grouped(order.total_amount))),
            act_name=order.act_name,
            caption=say(text("row {row}", row=order.source.row)),
        )
        for order in first_that_differ(reading.orders, _CARDS)
    ]
    if not cards:
        return None
    return Preview(
        name=f"{ANNOTATION}{say(text('preview'))}",
        title=say(text("The first packets as people will see them")),
        cards=cards,
    )


def first_that_differ(orders: Sequence[PacketOrder], most: int) -> list[PacketOrder]:
    """The first packets that do not look the same."""
    first: dict[tuple[str, str], PacketOrder] = {}
    for order in orders[:_LOOKED_AT]:
        first.setdefault((order.send_name, order.wishing), order)
    return list(first.values())[:most]


def preview_text(order: PacketOrder) -> Text:
    """A packet as its recipient sees it: who sends it, the greeting, the amount."""
    return text(
        "{send_name}: {wishing} (¥{yuan})",
        send_name=order.send_name,
        wishing=order.wishing,
        yuan=yuan_grouped(order.total_amount),
    )


def _number(tie: Tie, job: Annotating) -> str:
    return mch_billno(
        mch_id=job.options.mch_id, campaign_id=tie.campaign, row_key=tie.row_key, issue=tie.issue
    )


def _told(problems: Sequence[RowProblem], say: Say) -> str:
    return "\n".join(f"{p.cell}: {say(p.problem)}" if p.cell else say(p.problem) for p in problems)


def _advice(problems: Sequence[RowProblem], say: Say) -> str:
    return "\n".join(dict.fromkeys(say(p.advice) for p in problems))


def _comments(problems: Sequence[RowProblem], say: Say) -> dict[str, str]:
    said: dict[str, str] = {}
    for problem in problems:
        if problem.cell:
            words = f"{say(problem.problem)}\n→ {say(problem.advice)}"
            said[problem.cell] = f"{said[problem.cell]}\n{words}" if problem.cell in said else words
    return said


# Rows after a run


class _ReportRows:
    """Marks from the ledger, and what of it goes into the fix sheet."""

    def __init__(
        self,
        job: Annotating,
        ledger: Ledger,
        problems: Mapping[int, Sequence[RowProblem]],
        columns: Columns,
        facts: Facts,
    ) -> None:
        self._job, self._ledger, self._problems = job, ledger, problems
        self._found = found_in_bills(ledger, facts.campaign.name)
        self._debited = ledger.debited(facts.campaign.name)
        self._columns, self._facts = columns, facts
        #: By row: the ties for the fix sheet, and why the rows are there.
        self.to_fix: dict[int, Tie] = {}
        self.reasons: dict[int, str] = {}
        #: Rows to be corrected where the number comes from what was refused.
        self.only_original: list[int] = []

    def marks(self, reading: Reading, ties: Mapping[int, Tie]) -> Iterator[Mark]:
        """By ascending row."""
        good = (self._order(order) for order in reading.orders)
        bad = (self._problem(row, ties.get(row)) for row in sorted(self._problems) if row)
        return heapq.merge(good, bad, key=attrgetter("row"))

    def _order(self, order: PacketOrder) -> Mark:
        tie = order.tie or Tie(campaign=self._job.campaign, row_key=order.row_key, issue=1)
        entry = self._entry(tie)
        if entry is None:
            says = text("not in the ledger")
            step = text("run the sheet, if the row is to be paid")
            return self._mark(order.source.row, Tone.OPEN, says, None, OWNER_TEXT[Owner.OPERATOR], step)
        self._choose(order.source.row, entry)
        return self._known(order.source.row, entry, edited=_difference(entry, order))

    def _problem(self, row: int, tie: Tie | None) -> Mark:
        """A row that cannot be read as it stands now, whatever became of it."""
        problems = self._problems[row]
        say = self._job.say
        entry = self._entry(tie) if tie else None
        if entry is not None:
            mark = self._known(row, entry)
        else:
            says = text("cannot be paid as it stands")
            mark = self._mark(row, Tone.BAD, says, None, OWNER_TEXT[Owner.OPERATOR], None)
            values = list(mark.values)
            values[1], values[3] = _told(problems, say), _advice(problems, say)
            mark = replace(mark, values=tuple(values))
        return replace(mark, cells=_comments(problems, say))

    def _entry(self, tie: Tie) -> Entry | None:
        """The entry that speaks for the row: the last one, where it was issued again.

        But the first of which WeChat Pay has said different things, or that the funds bills have a debit for
        against its word: whatever became of those after it, a person has to look.
        """
        found = None
        tie = replace(tie, issue=1)  # a reissued row's earlier numbers count as well
        entry = self._ledger.entry(_number(tie, self._job))
        while entry is not None:
            found = entry
            issued_again = entry.evidence is Evidence.DEAD or entry.state is State.REFUNDED
            if entry.flag is not None or entry.mch_billno in self._debited or not issued_again:
                break
            tie = replace(tie, issue=tie.issue + 1)
            entry = self._ledger.entry(_number(tie, self._job))
        return found

    def _choose(self, row: int, entry: Entry) -> None:
        """Whether the row is to be corrected, and where."""
        refused = entry.state is State.REJECTED and entry.evidence is Evidence.UNSTORED
        if not refused or entry.flag is not None or entry.last_reach is Reach.ABORT:
            return
        if _CELL_OF.get(entry.err_code) == "re_openid" and self._facts.campaign.key_column != "id":
            self.only_original.append(row)
            return
        self.to_fix[row] = Tie(campaign=entry.campaign, row_key=entry.row_key, issue=entry.issue)
        refusal = explain(entry.err_code)
        self.reasons[row] = f"{self._job.say(refusal.cause)}\n→ {self._job.say(refusal.advice)}"

    def _known(self, row: int, entry: Entry, *, edited: Text | None = None) -> Mark:
        _, found = self._found.get(entry.mch_billno, (None, None))
        cancelled = self._facts.campaign.cancelled_at_s is not None
        now_s = self._facts.made_at_s
        need = needs_person(entry, now_s=now_s, explain=explain, cancelled=cancelled, found=found)
        became = verdict(entry)
        reason = need.reason if need else evidence(entry)
        if edited:
            reason = text("{reason}. {edited}", reason=reason, edited=edited)
        mark = self._mark(
            row,
            Tone.BAD if need or edited else _TONES[became],
            VERDICT_TEXT[became],
            reason,
            OWNER_TEXT[need.owner] if need else None,
            need.advice if need else None,
            entry,
        )
        field = _CELL_OF.get(entry.err_code) if need else None
        if need and field:
            at = self._columns.amount if field == "total_amount" else self._columns.fields[field]
            say = self._job.say
            words = f"{say(need.reason)}\n→ {say(need.advice)}"
            return replace(mark, cells={f"{column_letters(at)}{row}": words})
        return mark

    def _mark(
        self,
        row: int,
        tone: Tone,
        says: Text,
        reason: Text | None,
        owner: Text | None,
        step: Text | None,
        entry: Entry | None = None,
    ) -> Mark:
        words = tuple(self._job.say(each) if each else "" for each in (says, reason, owner, step))
        return Mark(row=row, tone=tone, values=(*words, *_times(entry), entry.mch_billno if entry else ""))


_TONES: Final = {
    Verdict.CLAIMED: Tone.GOOD,
    Verdict.UNCLAIMED: Tone.GOOD,
    Verdict.REFUNDED: Tone.OPEN,
    Verdict.DEAD: Tone.BAD,
    Verdict.NEVER_SENT: Tone.OPEN,
    Verdict.UNKNOWN: Tone.OPEN,
}


def _times(entry: Entry | None) -> tuple[str, str, str]:
    """Sent, opened, came back; Beijing time."""
    if entry is None:
        return "", "", ""
    sent_s = sent_at_s(entry)
    return _beijing(sent_s), _said(entry.rcv_time), _said(entry.refund_time)


def _beijing(at_s: float | None) -> str:
    return beijing_text(at_s) if at_s is not None else ""


def _said(time: str) -> str:
    with suppress(ValueError):
        return beijing_text(moment_s(time)) if time else ""
    return time


def _difference(entry: Entry, order: PacketOrder) -> Text | None:
    """The row was edited after its packet was requested: the number stands for what was sent."""
    if (entry.re_openid, entry.total_amount) == (order.re_openid, order.total_amount):
        return None
    return text(
        "In the ledger this number stands for {openid} and {yuan} yuan, and not for what the row says now",
        openid=mask_openid(entry.re_openid),
        yuan=yuan_grouped(entry.total_amount),
    )
