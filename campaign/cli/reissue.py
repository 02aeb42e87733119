"""``campaign reissue NAME``: a sheet of the rows that are proven unpaid, to be corrected and run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON, EXIT_NOT_FINISHED
from campaign.cli.desk import interruptible, open_desk
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.gateway import open_gateway
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.config import Settings
from campaign.domain.mask import mask_openid
from campaign.domain.money import yuan_grouped
from campaign.errors import UsageError
from campaign.ledger.store import Ledger
from campaign.ports import SystemClock
from campaign.report.files import file_stem, new_file, refuse_existing
from campaign.sheet.write import WARNING, write_tied_sheet
from campaign.stages.reissue import LeftOut, Reissue, candidates, tied_rows
from campaign.stages.reissue import reissue as ask_and_judge
from campaign.text import text

#: So many rows that are left out are told in the terminal; ``--json`` has them all.
_TOLD: Final = 20


@command(
    "reissue",
    help=text(
        "Write a sheet of the rows that WeChat Pay itself calls failed: correct it and run it, and they are "
        "paid under new numbers. Every number is asked about at this moment; where no clear answer comes, "
        "the row is left out. However often the sheet is run, it pays a row once."
    ),
    examples=(
        "campaign reissue lantern",
        text(
            "campaign reissue lantern --refunded --out again.xlsx  # those who did not open it in time, too"
        ),
        "campaign run lantern-reissue.xlsx",
    ),
)
@click.argument("name")
@option(
    "--refunded", is_flag=True, help=text("Also the packets that nobody opened and whose money came back.")
)
@option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help=text("The workbook to write (default: NAME-reissue.xlsx)."),
)
@option("--force", is_flag=True, help=text("Write over the file if it is there."))
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def reissue(session: Session, name: str, refunded: bool, out: Path | None, force: bool, unmask: bool) -> int:
    settings = session.settings()
    clock = SystemClock()
    with existing_ledger(settings, clock) as ledger:
        [campaign] = chosen_campaigns(ledger, name)
        assert ledger is not None
        path = out or Path(f"{file_stem(campaign)}-reissue.xlsx")
        if path.suffix.lower() != ".xlsx":
            raise UsageError(
                text("{file} is not the name of a workbook.", file=str(path)),
                advice=text("Give --out a name that ends in .xlsx."),
            )
        if not force:
            refuse_existing([path])
        found = candidates(ledger, campaign, mch_id=settings.merchant.mch_id, refunded=refunded)
        result = Reissue()
        if found:
            with (
                open_gateway(settings, session) as gateway,
                interruptible() as stop,
                open_desk(settings, ledger, gateway, clock, stop) as desk,
            ):
                result = ask_and_judge(desk, found, refunded=refunded)
        if result.rows:
            _write(settings, session, ledger, campaign, result, path)
    _answer(session, campaign, result, path, unmask=unmask)
    if any(row.again for row in result.left_out):
        return EXIT_NOT_FINISHED
    return EXIT_NEEDS_PERSON if result.left_out else EXIT_DONE


def _write(
    settings: Settings, session: Session, ledger: Ledger, campaign: str, result: Reissue, path: Path
) -> None:
    known = ledger.campaign(campaign)
    assert known is not None
    # A column that only an older sheet of the campaign had is kept as well.
    own_headers = list(dict.fromkeys((*known.own_headers, *(h for e in result.rows for h in e.own))))
    with new_file(path) as temporary:
        write_tied_sheet(
            temporary,
            tied_rows(result.rows),
            sheet="reissue",
            mch_id=settings.merchant.mch_id,
            own_headers=own_headers,
            columns=settings.columns,
            ids=known.key_column == "id",
            warning=session.speech.say(WARNING),
        )


def _answer(session: Session, campaign: str, result: Reissue, path: Path, *, unmask: bool) -> None:
    if session.json:
        session.answer_json(
            {
                "campaign": campaign,
                "files": [str(path)] if result.rows else [],
                "rows": len(result.rows),
                "fen": {"total": result.total_fen},
                "left_out": [_left_out_json(row, session, unmask=unmask) for row in result.left_out],
                "known": result.known,
            }
        )
    for row in result.left_out[:_TOLD]:
        session.tell(
            text(
                "  {place}  {openid}  {yuan} yuan is left out: {reason}.\n    Next step: {advice}.",
                place=text("{sheet}, row {row}", sheet=row.entry.sheet, row=row.entry.row),
                openid=mask_openid(row.entry.re_openid),
                yuan=yuan_grouped(row.entry.total_amount),
                reason=row.reason,
                advice=row.advice,
            ),
            style="yellow",
        )
    if len(result.left_out) > _TOLD:
        session.tell(
            text("  … and {more} more; --json tells them all.", more=len(result.left_out) - _TOLD),
            style="yellow",
        )
    if result.known:
        session.tell(
            text(
                "{count} of the new numbers are known to WeChat Pay already, so this ledger is older than "
                "the truth. Running the sheet finds out what became of them; nobody is paid twice.",
                count=result.known,
            ),
            style="yellow",
        )
    if result.rows:
        session.tell(
            text(
                "{rows} rows, {yuan} yuan: correct them in {file}, then `campaign run {file}`.",
                rows=len(result.rows),
                yuan=yuan_grouped(result.total_fen),
                file=str(path),
            ),
            style="green",
        )
    else:
        session.tell(text("No row of {campaign} may be paid under a new number now.", campaign=campaign))


def _left_out_json(row: LeftOut, session: Session, *, unmask: bool) -> dict[str, object]:
    return {
        "row": row.entry.row,
        "re_openid": row.entry.re_openid if unmask else mask_openid(row.entry.re_openid),
        "mch_billno": row.entry.mch_billno,
        "fen": row.entry.total_amount,
        "reason": session.speech.say(row.reason),
        "advice": session.speech.say(row.advice),
    }
