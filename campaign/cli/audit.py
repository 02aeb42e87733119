"""``campaign audit``: does the ledger fit its own chain of events?"""

from __future__ import annotations

from itertools import islice
from typing import Final

from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON
from campaign.cli.frame import Session, answers_json, command, pass_session
from campaign.cli.names import existing_ledger
from campaign.ports import SystemClock
from campaign.text import text

#: So many places are named; one is enough to stop trusting.
_NAMED: Final = 20


@command(
    "audit",
    help=text("Check the ledger's chain of events, and that every row's state follows from its events."),
    examples=("campaign audit", "campaign audit --json"),
)
@answers_json
@pass_session
def audit(session: Session) -> int:
    settings = session.settings()
    with existing_ledger(settings, SystemClock()) as ledger:
        broken = list(islice(ledger.broken_events(), _NAMED)) if ledger else []
        unexplained = list(islice(ledger.unexplained(), _NAMED)) if ledger else []
        altered = list(islice(ledger.altered_entries(), _NAMED)) if ledger else []
        miscounted = list(islice(ledger.miscounted(), _NAMED)) if ledger else []
        days = list(islice(ledger.miscounted_days(), _NAMED)) if ledger else []
        matches = list(islice(ledger.broken_matches(), _NAMED)) if ledger else []
        bills = list(islice(ledger.broken_bills(), _NAMED)) if ledger else []
        events, digest = ledger.head() if ledger else (0, "")
    good = not (broken or unexplained or altered or miscounted or days or matches or bills)
    if session.json:
        session.answer_json(
            {
                "good": good,
                "events": events,
                "head": digest,
                "broken_events": broken,
                "unexplained": unexplained,
                "altered_rows": altered,
                "altered_sums": miscounted,
                "altered_days": [day.isoformat() for day in days],
                "altered_matches": matches,
                "altered_bills": bills,
            }
        )
    for number in broken:
        session.tell(
            text(
                "Event {number} was altered, or one in front of it or a row that it planned is missing.",
                number=number,
            ),
            style="bold red",
        )
    for mch_billno in unexplained:
        session.tell(
            text("The state of {number} does not follow from its events.", number=mch_billno),
            style="bold red",
        )
    for mch_billno in altered:
        session.tell(
            text("The row of {number} is not the one that its events tell of.", number=mch_billno),
            style="bold red",
        )
    for name in miscounted:
        session.tell(
            text(
                "The sums of {campaign}, by which budgets are kept, are not those of its rows.", campaign=name
            ),
            style="bold red",
        )
    for day in days:
        session.tell(
            text(
                "The sums of {date}, by which daily limits are kept, are not those of what was sent on that "
                "day.",
                date=day.isoformat(),
            ),
            style="bold red",
        )
    for name in matches:
        session.tell(
            text("What the match of {campaign} with the funds bills brought was altered.", campaign=name),
            style="bold red",
        )
    for file in bills:
        session.tell(
            text("The kept funds bill {file} was altered, or is missing.", file=file), style="bold red"
        )
    if good:
        session.tell(
            text("All {events} events are whole, and every state follows from them.", events=events),
            style="green",
        )
    else:
        session.tell(
            text(
                "Somebody or something altered the ledger. Keep a copy of it, take the last backup that "
                "passes this audit, and run the campaigns again: every number is asked about before it is "
                "sent."
            )
        )
    return EXIT_DONE if good else EXIT_NEEDS_PERSON
