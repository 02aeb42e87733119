"""``campaign report NAME``: the files for finance, made from the ledger alone."""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.ports import SystemClock
from campaign.stages.report import FORMATS, write_report
from campaign.text import text


@command(
    "report",
    help=text("Write the workbook and the tables of a campaign; they hold full openids, so keep them."),
    examples=("campaign report lantern", "campaign report lantern --out 2026-02 --force"),
)
@click.argument("name")
@option("--out", type=click.Path(path_type=Path, file_okay=False), help=text("The folder to write into."))
@option("--pdf", is_flag=True, help=text("Write the one-page slip too (needs the extra `pdf`)."))
@option("--unmask", is_flag=True, help=text("Show openids in full on the page and in JSON, too."))
@option("--force", is_flag=True, help=text("Write over reports that are there."))
@answers_json
@pass_session
def report(session: Session, name: str, out: Path | None, pdf: bool, unmask: bool, force: bool) -> int:
    settings = session.settings()
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        [campaign] = chosen_campaigns(ledger, name)
        assert ledger is not None
        files = write_report(
            ledger,
            campaign,
            out=out or Path(),
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
        session.answer_json({"campaign": campaign, "files": [str(file) for file in files]})
    for file in files:
        session.tell(text("Written: {file}", file=str(file)))
    return 0
