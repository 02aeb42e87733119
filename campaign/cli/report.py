"""``campaign report NAME``: the files for finance, made from the ledger alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from campaign.cli.check import fix_path, read_options, tell_annotated
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.config import Settings
from campaign.domain.plan import ORDINAL_KEYS
from campaign.errors import UsageError
from campaign.ledger.store import Ledger
from campaign.ports import Clock, SystemClock
from campaign.report.files import file_stem
from campaign.report.lines import Facts
from campaign.sheet import Reading, read_sheet
from campaign.sheet.annotate import keeps_macros
from campaign.stages.annotate import Annotated, Annotating, annotate_report
from campaign.stages.report import FORMATS, write_report
from campaign.text import text


@command(
    "report",
    help=text("Write the workbook and the tables of a campaign; they hold full openids, so keep them."),
    examples=(
        "campaign report lantern",
        "campaign report lantern --out 2026-02 --force",
        text("campaign report lantern --annotate lantern.xlsx  # your workbook with what became of each row"),
    ),
)
@click.argument("name")
@option("--out", type=click.Path(path_type=Path, file_okay=False), help=text("The folder to write into."))
@option(
    "--annotate",
    "sheet",
    metavar="SHEET",
    type=click.Path(path_type=Path, dir_okay=False),
    help=text("Write this sheet of the campaign again, with what became of each row beside it."),
)
@option("--sheet", "worksheet", help=text("The worksheet to read."))
@option(
    "--fix",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help=text(
        "The sheet of the rows to be fixed (default: beside the annotated one, ending with -fix.xlsx)."
    ),
)
@option("--pdf", is_flag=True, help=text("Write the one-page slip too (needs the extra `pdf`)."))
@option("--unmask", is_flag=True, help=text("Show openids in full on the page and in JSON, too."))
@option("--force", is_flag=True, help=text("Write over reports that are there."))
@answers_json
@pass_session
def report(
    session: Session,
    name: str,
    out: Path | None,
    sheet: Path | None,
    worksheet: str | None,
    fix: Path | None,
    pdf: bool,
    unmask: bool,
    force: bool,
) -> int:
    if sheet is None and (fix or worksheet):
        raise UsageError(
            text("--fix and --sheet are about the sheet to annotate."), advice=text("Add --annotate SHEET.")
        )
    settings = session.settings(beside=sheet)
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        [campaign] = chosen_campaigns(ledger, name)
        assert ledger is not None
        folder = out or Path()
        annotated = None
        if sheet:
            annotated = _annotate(
                session,
                settings,
                ledger,
                campaign,
                sheet,
                folder,
                clock,
                worksheet=worksheet,
                fix=fix,
                force=force,
            )
        files = write_report(
            ledger,
            campaign,
            out=folder,
            say=session.speech.say,
            gateway=settings.gateway_name(),
            merchant=settings.merchant.mch_id,
            clock=clock,
            force=force,
            formats=(*FORMATS, "pdf") if pdf else FORMATS,
            lang=session.speech.language,
            unmask=unmask,
        )
    if session.json:
        written = [*files, *(annotated.files if annotated else ())]
        session.answer_json({"campaign": campaign, "files": [str(file) for file in written]})
    if annotated:
        tell_annotated(annotated, session)
    for file in files:
        session.tell(text("Written: {file}", file=str(file)))
    return 0


def _annotate(
    session: Session,
    settings: Settings,
    ledger: Ledger,
    name: str,
    sheet: Path,
    folder: Path,
    clock: Clock,
    *,
    worksheet: str | None,
    fix: Path | None,
    force: bool,
) -> Annotated:
    """The operator's own workbook, read by the rules of the campaign's last run."""
    campaign = ledger.campaign(name)
    assert campaign is not None
    repeats = campaign.key_column == ORDINAL_KEYS
    # Hidden rows that were paid have their verdict, too; today's limits say nothing about what was sent.
    options = replace(
        read_options(settings, worksheet=worksheet, allow_repeats=repeats, include_hidden=True), limits=None
    )
    reading = read_sheet(sheet, options)
    _refuse_other_campaign(reading, name)
    suffix = ".xlsm" if keeps_macros(sheet) else ".xlsx"
    out = folder / f"{file_stem(name)}-annotated{suffix}"
    job = Annotating(
        sheet=sheet,
        options=options,
        campaign=name,
        out=out,
        fix=fix or fix_path(out),
        say=session.speech.say,
        force=force,
    )
    job.refuse_bad_names()
    facts = Facts(
        campaign=campaign,
        merchant=settings.merchant.mch_id,
        gateway=settings.gateway_name(),
        made_at_s=clock.now_s(),
        lang=session.speech.language,
    )
    return annotate_report(job, ledger, reading, facts=facts)


def _refuse_other_campaign(reading: Reading, name: str) -> None:
    """A sheet that says itself which campaign it belongs to."""
    said = reading.tied_to | reading.campaigns
    if said - {name}:
        raise UsageError(
            text(
                "The rows of this sheet belong to the campaign {campaigns}.",
                campaigns=tuple(sorted(said)),
            ),
            advice=text("Name that campaign, or the sheet of this one."),
        )
