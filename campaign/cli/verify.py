"""``campaign verify FILE``: does a report fit the ledger?"""

from __future__ import annotations

from pathlib import Path

import click

from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON
from campaign.cli.frame import Session, answers_json, command, pass_session
from campaign.cli.names import existing_ledger
from campaign.errors import UsageError
from campaign.i18n import Speech
from campaign.ports import SystemClock
from campaign.stages.report import Verified, verify_report
from campaign.text import Text, text


@command(
    "verify",
    help=text(
        "Compare a report (.xlsx, .html, .json, .pdf, or .csv with its .json beside it) with the ledger and "
        "name the first place that differs."
    ),
    examples=("campaign verify lantern-report.xlsx",),
)
@click.argument("file", type=click.Path(path_type=Path))
@answers_json
@pass_session
def verify(session: Session, file: Path) -> int:
    settings = session.settings(beside=file)
    with existing_ledger(settings, SystemClock()) as ledger:
        if ledger is None:
            raise UsageError(
                text("There is no ledger at {path}.", path=str(settings.ledger_path())),
                advice=text("Name the settings of the report's ledger with --config."),
            )
        found = verify_report(
            ledger,
            file,
            say_in=lambda language: Speech("zh_CN" if language == "zh_CN" else "en").say,
            gateway=settings.gateway_name(),
            merchant=settings.merchant.mch_id,
        )
    if session.json:
        session.answer_json(
            {
                "file": str(file),
                "campaign": found.seal.campaign,
                "good": found.good,
                "rows_with_news": found.moved,
                "sums_compared": found.whole,
                "difference": None
                if found.difference is None
                else {
                    "place": found.difference.place,
                    "found": found.difference.found,
                    "expected": found.difference.expected,
                },
                "verdict": session.speech.say(_told(found)),
            }
        )
    session.tell(_told(found), style="green" if found.good else "bold red")
    return EXIT_DONE if found.good else EXIT_NEEDS_PERSON


def _told(found: Verified) -> Text:
    if not found.in_chain:
        return text(
            "The event that this report was made after is not in the ledger: one of the two was altered, or "
            "the ledger is an older copy."
        )
    if found.difference is not None:
        return text(
            "This report does not fit the ledger. First difference: {place} says {found}, and the ledger "
            "says {expected}.",
            place=found.difference.place,
            found=repr(found.difference.found),
            expected=repr(found.difference.expected),
        )
    if not found.whole:
        return text(
            "The rows of this report fit the ledger. {moved} of them had news since; of these only number, "
            "openid and amount were compared. Its sums are of another day, or of another version, and were "
            "not compared: write a new report to check them.",
            moved=found.moved,
        )
    return text("This report fits the ledger, to the last cell.")
