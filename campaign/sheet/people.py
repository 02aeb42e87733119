"""What the list as a whole says about people: daily limits that spread it, openids of another account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from campaign.domain.limits import Limits
from campaign.domain.money import yuan_text
from campaign.domain.occurrences import rows_text
from campaign.domain.order import Orders
from campaign.text import Text, text

#: The openids of one official account begin with the same characters, in practice at least this many.
_ACCOUNT_PREFIX: Final = 5
_PREFIX_OF: Final = itemgetter(slice(_ACCOUNT_PREFIX))
#: Too few people to speak of "most", and the share that is most.
_PEOPLE_MIN: Final = 10
_MOST: Final = 0.8


def people_notes(orders: Orders, limits: Limits | None) -> Iterator[Text]:
    """Sentences for the operator; nothing here keeps a row from being paid."""
    yield from _other_accounts(orders)
    if limits is not None:
        yield from _spread_over_days(orders, limits)


def _other_accounts(orders: Orders) -> Iterator[Text]:
    prefixes: Counter[str] = Counter()
    for openids, _ in orders.payment_columns():
        lowest, highest = _PREFIX_OF(min(openids)), _PREFIX_OF(max(openids))
        if lowest == highest:  # as that of each between them
            prefixes[lowest] += len(openids)
        else:
            prefixes.update(map(_PREFIX_OF, openids))
    if len(prefixes) < 2 or len(orders) < _PEOPLE_MIN:
        return
    usual, count = prefixes.most_common(1)[0]
    if count < _MOST * len(orders):
        return
    others = [line.row for line in orders.lines() if not line.re_openid.startswith(usual)]
    yield text(
        "openid: begins unlike most others in {rows}; perhaps of another official account",
        rows=rows_text(others),
    )


def _spread_over_days(orders: Orders, limits: Limits) -> Iterator[Text]:
    """Only who stands in several rows can exceed a daily limit: a single packet beyond it is a problem."""
    over = sum(
        packets > 1 and (packets > limits.person_day_packets or fen > limits.person_day_fen)
        for packets, fen in orders.people().several.values()
    )
    if over:
        yield text(
            "people who get more than {packets} packets or ¥{yuan}, the limits of one day: {people}; "
            "their surplus waits for the next days",
            people=over,
            packets=limits.person_day_packets,
            yuan=yuan_text(limits.person_day_fen),
        )
