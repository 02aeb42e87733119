"""``campaign check SHEET``: read and check, list every problem, forecast; send and record nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from campaign.cli.forecast import tell_forecast
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import campaign_name
from campaign.cli.session import masked
from campaign.config import Settings
from campaign.domain.forecast import budget_problems, forecast
from campaign.domain.mask import mask_openid
from campaign.domain.order import PacketOrder, RowProblem, Source
from campaign.errors import SheetRejected, UsageError
from campaign.sheet import Reading, ReadOptions, read_sheet
from campaign.stages.annotate import Annotated, Annotating, annotate_check, first_that_differ, preview_text
from campaign.stages.plan import SheetFacts
from campaign.text import Text, text

#: So many problems are told in the terminal; the annotated workbook and ``--json`` have them all.
_TOLD: Final = 20
#: So many rows of one and the same problem.
_TOLD_ALIKE: Final = 5
#: Their values are openids, of whatever shape.
_OPENID_COLUMNS: Final = frozenset({"re_openid", "row_key"})
#: The rest of an openid at the end of a value that was shortened.
_CUT_OPENID: Final = re.compile(r"(?<![0-9A-Za-z])(o[0-9A-Za-z_-]+)…$")
#: So many different packets are shown.
_PREVIEWS: Final = 3


@command(
    "check",
    help=text("Read and check a sheet and list every problem; nothing is sent and nothing recorded."),
    examples=(
        "campaign check lantern.xlsx",
        text("campaign check lantern.xlsx --annotate marked.xlsx  # your workbook with the problems marked"),
        "campaign check lantern.xlsx --json",
    ),
)
@click.argument("sheet", type=click.Path(path_type=Path))
@option("--sheet", "worksheet", help=text("The worksheet to read."))
@option("--limit", type=click.IntRange(min=1), help=text("Only the sheet's first N rows: a pilot."))
@option("--allow-repeats", is_flag=True, help=text("One person may have several rows."))
@option("--include-hidden", is_flag=True, help=text("Pay hidden rows too."))
@option(
    "--annotate",
    "out",
    metavar="OUT",
    type=click.Path(path_type=Path, dir_okay=False),
    help=text("Write the workbook again with the problems marked, and a sheet of the rows to be fixed."),
)
@option(
    "--fix",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help=text("The sheet of the rows to be fixed (default: beside OUT, ending with -fix.xlsx)."),
)
@option("--name", help=text("The campaign's name (default: the sheet's file name)."))
@option("--force", is_flag=True, help=text("Write over files that are there, but never over the sheet."))
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def check(
    session: Session,
    sheet: Path,
    worksheet: str | None,
    limit: int | None,
    allow_repeats: bool,
    include_hidden: bool,
    out: Path | None,
    fix: Path | None,
    name: str | None,
    force: bool,
    unmask: bool,
) -> int:
    settings = session.settings(beside=sheet)
    if fix and not out:
        raise UsageError(
            text("--fix is for the sheet beside an annotated workbook."), advice=text("Add --annotate OUT.")
        )
    options = read_options(
        settings,
        worksheet=worksheet,
        limit=limit,
        allow_repeats=allow_repeats,
        include_hidden=include_hidden,
    )
    reading = read_sheet(sheet, options)
    limits = settings.limits.as_limits()
    planned = forecast(reading.orders, limits, sends_per_second=settings.gateway.sends_per_second)
    whole = Source(file=reading.file, sheet=reading.sheet, row=0)
    if beyond := budget_problems(planned, limits, whole):
        reading = replace(reading, problems=(*reading.problems, *beyond))
    annotated = None
    if out:
        job = Annotating(
            sheet=sheet,
            options=options,
            campaign=campaign_name(reading, name, sheet),
            out=out,
            fix=fix or fix_path(out),
            say=session.speech.say,
            force=force,
        )
        job.refuse_bad_names()
        annotated = annotate_check(job, reading)
    tell_reading(reading, session, unmask=unmask, files=annotated.files if annotated else ())
    if annotated:
        tell_annotated(annotated, session)
    if not session.json and planned.rows:
        tell_forecast(planned, session)
        _tell_preview(reading.orders, session)
        if not reading.problems:
            session.tell(text("Nothing is wrong with this sheet."), style="green")
    return SheetRejected.exit_code if reading.problems else 0


def read_options(
    settings: Settings,
    *,
    worksheet: str | None,
    limit: int | None = None,
    allow_repeats: bool,
    include_hidden: bool,
) -> ReadOptions:
    """What the command line and the settings say about reading."""
    return ReadOptions(
        mch_id=settings.merchant.mch_id,
        defaults=settings.packet_defaults(),
        columns=settings.columns,
        sheet=worksheet,
        limit=limit,
        allow_repeats=allow_repeats,
        include_hidden=include_hidden,
        limits=settings.limits.as_limits(),
    )


def fix_path(out: Path) -> Path:
    """Where the fix sheet stands unless somebody names another place: beside the annotated workbook."""
    return out.with_name(f"{out.stem}-fix.xlsx")


def tell_annotated(annotated: Annotated, session: Session) -> None:
    """What was written, what the copy lacks, and what is corrected where."""
    for file in annotated.files:
        session.say(text("Written: {file}", file=str(file)))
    for note in annotated.notes:
        session.say(note)


def _tell_preview(orders: Sequence[PacketOrder], session: Session) -> None:
    """The first packets that differ, as their recipients will see them."""
    session.say(text("As the first people will see it:"))
    for order in first_that_differ(orders, _PREVIEWS):
        session.say(text("  row {row}  {packet}", row=order.source.row, packet=preview_text(order)))


def facts_of(reading: Reading, *, partial: bool, plan_digest: str) -> SheetFacts:
    """What the ledger remembers of a sheet. One of our own fix sheets shows a part on purpose."""
    return SheetFacts(
        file=reading.file,
        digest=reading.digest,
        key_column=reading.key_column,
        own_headers=reading.own_headers,
        partial=partial or bool(reading.tied_to),
        plan_digest=plan_digest,
    )


def tell_reading(reading: Reading, session: Session, *, unmask: bool, files: Sequence[Path] = ()) -> None:
    """The contract's JSON of ``check``, or the notes and problems in sentences, grouped by kind."""
    if session.json:
        answer = _as_json(reading, session, unmask=unmask) | {"files": [str(file) for file in files]}
        problems = (_problem_json(problem, session, unmask=unmask) for problem in reading.problems)
        session.answer_json(answer, problems=problems)
        return
    tell_notes(reading, session)
    if not reading.problems:
        return
    flawed = {problem.source.row for problem in reading.problems}
    rows = reading.rows if 0 in flawed else len(flawed)  # 0 is the sheet as a whole
    session.tell(
        text(
            "{file}: {rows} of {all} rows cannot be paid as they stand ({count} problems); nothing was sent.",
            file=reading.file,
            rows=rows,
            all=reading.rows,
            count=len(reading.problems),
        ),
        style="bold",
    )
    told = 0
    for count, alike in _by_kind(reading.problems):
        if told >= _TOLD:
            break
        shown = alike[: _TOLD - told]
        told += len(shown)
        for problem in shown:
            says = _said(problem.problem, session, unmask=False)
            session.tell(text("  {place}: {problem}", place=_place(problem), problem=says))
        if count > len(shown):
            session.tell(text("  … and {more} more rows like these", more=count - len(shown)))
        session.tell(text("    → {advice}", advice=_said(alike[0].advice, session, unmask=False)))
    if told < len(reading.problems):
        more = len(reading.problems) - told
        where = (
            text("all are marked in {file}", file=str(files[0]))
            if files
            else text(
                "`campaign check SHEET --annotate OUT.xlsx` marks all of them in your own workbook, "
                "--json lists them"
            )
        )
        session.tell(text("{more} more problems: {where}.", more=more, where=where))


def tell_notes(reading: Reading, session: Session) -> None:
    """What was removed, recognised or assumed, on stderr."""
    for note in reading.notes:
        session.say(Text("{note}", {"note": _said(note, session, unmask=False)}))


def _by_kind(problems: Sequence[RowProblem]) -> list[tuple[int, list[RowProblem]]]:
    """Problems that say the same of different rows, the first met first: how many, and the first of them."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], list[RowProblem]] = defaultdict(list)
    for problem in problems:
        kind = problem.column, problem.problem.template
        counts[kind] += 1
        if counts[kind] <= _TOLD_ALIKE:
            first[kind].append(problem)
    return [(counts[kind], alike) for kind, alike in first.items()]


def _place(problem: RowProblem) -> Text:
    source = problem.source
    if not source.row:
        return text("the sheet as a whole")
    shown = _value(problem, unmask=False)
    place = (
        text("{sheet}, cell {cell}", sheet=source.sheet, cell=problem.cell)
        if problem.cell
        else text("{sheet}, row {row}", sheet=source.sheet, row=source.row)
    )
    return text("{place} ({value})", place=place, value=shown) if shown else place


def _value(problem: RowProblem, *, unmask: bool) -> str:
    """What the cell holds; an openid may also be a row's key, or stand where it does not belong."""
    if unmask:
        return problem.value
    if problem.column in _OPENID_COLUMNS:
        return mask_openid(problem.value)
    return _CUT_OPENID.sub(lambda found: f"{mask_openid(found[1])}…", masked(problem.value))


def _said(sentence: Text, session: Session, *, unmask: bool) -> str:
    """A sentence in the reader's language; what it quotes from the sheet may hold an openid, too."""
    said = session.speech.say(sentence)
    return said if unmask else masked(said)


def _as_json(reading: Reading, session: Session, *, unmask: bool) -> dict[str, object]:
    return {
        "file": reading.file,
        "sheet": reading.sheet,
        "rows": reading.rows,
        "ok": len(reading.orders),
        "fen": {"total": sum(fen for _, fen in reading.orders.payments())},
        "notes": [_said(note, session, unmask=unmask) for note in reading.notes],
    }


def _problem_json(problem: RowProblem, session: Session, *, unmask: bool) -> dict[str, object]:
    return {
        "sheet": problem.source.sheet,
        "row": problem.source.row or None,
        "column": problem.column or None,
        "cell": problem.cell or None,
        "value": _value(problem, unmask=unmask),
        "problem": _said(problem.problem, session, unmask=unmask),
        "advice": _said(problem.advice, session, unmask=unmask),
    }
