"""``campaign audit``: does the ledger fit its own chain of events?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON
from campaign.cli.frame import Session, answers_json, command, pass_session
from campaign.cli.names import existing_ledger
from campaign.ledger.store import Ledger
from campaign.ports import SystemClock
from campaign.text import Text, text

#: So many places are named; one is enough to stop trusting.
_NAMED: Final = 20
#: What is wrong, as the JSON calls it -> what finds its places, and a sentence about one of them.
_LOOKS: Final[Mapping[str, tuple[Callable[[Ledger], Iterator[Any]], Callable[[Any], Text]]]] = {
    "broken_events": (
        Ledger.broken_events,
        lambda number: text(
            "Event {number} was altered, or one in front of it or a row that it planned is missing.",
            number=number,
        ),
    ),
    "unexplained": (
        Ledger.unexplained,
        lambda number: text("The state of {number} does not follow from its events.", number=number),
    ),
    "altered_rows": (
        Ledger.altered_entries,
        lambda number: text("The row of {number} is not the one that its events tell of.", number=number),
    ),
    "altered_sums": (
        Ledger.miscounted,
        lambda name: text(
            "The sums of {campaign}, by which budgets are kept, are not those of its rows.", campaign=name
        ),
    ),
    "altered_days": (
        lambda ledger: (day.isoformat() for day in ledger.miscounted_days()),
        lambda day: text(
            "The sums of {date}, by which daily limits are kept, are not those of what was sent on that day.",
            date=day,
        ),
    ),
    "altered_matches": (
        Ledger.broken_matches,
        lambda name: text(
            "What the match of {campaign} with the funds bills brought was altered.", campaign=name
        ),
    ),
    "altered_bills": (
        Ledger.broken_bills,
        lambda file: text("The kept funds bill {file} was altered, or is missing.", file=file),
    ),
}


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
        found = {
            what: list(islice(places(ledger), _NAMED)) if ledger else []
            for what, (places, _) in _LOOKS.items()
        }
        events, digest = ledger.head() if ledger else (0, "")
    good = not any(found.values())
    if session.json:
        session.answer_json({"good": good, "events": events, "head": digest, **found})
    for what, (_, told) in _LOOKS.items():
        for place in found[what]:
            session.tell(told(place), style="bold red")
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
