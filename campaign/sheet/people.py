"""What the list as a whole says about people: daily limits that spread it, openids of another account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from campaign.domain.limits import Limits
from campaign.domain.money import yuan_text
from campaign.sheet.occurrences import rows_text
from campaign.sheet.orders import Record
from campaign.text import Text, text

#: The openids of one official account begin with the same characters, in practice at least this many.
_ACCOUNT_PREFIX: Final = 5
#: Too few people to speak of "most", and the share that is most.
_PEOPLE_MIN: Final = 10
_MOST: Final = 0.8


def people_notes(records: Sequence[Record], limits: Limits | None) -> Iterator[Text]:
    """Sentences for the operator; nothing here keeps a row from being paid."""
    yield from _other_accounts(records)
    if limits is not None:
        yield from _spread_over_days(records, limits)


def _other_accounts(records: Sequence[Record]) -> Iterator[Text]:
    prefixes = Counter(record.re_openid[:_ACCOUNT_PREFIX] for record in records)
    if len(prefixes) < 2 or len(records) < _PEOPLE_MIN:
        return
    usual, count = prefixes.most_common(1)[0]
    if count < _MOST * len(records):
        return
    others = [record.row for record in records if not record.re_openid.startswith(usual)]
    yield text(
        "openid: begins unlike most others in {rows}; perhaps of another official account",
        rows=rows_text(others),
    )


def _spread_over_days(records: Sequence[Record], limits: Limits) -> Iterator[Text]:
    """Only who stands in several rows can exceed a daily limit: a single packet beyond it is a problem."""
    packets = Counter(record.re_openid for record in records)
    if len(packets) == len(records):
        return
    import pandas as pd

    repeated = [(r.re_openid, r.total_amount) for r in records if packets[r.re_openid] > 1]
    per_person = (
        pd.DataFrame(repeated, columns=["re_openid", "fen"]).groupby("re_openid")["fen"].agg(["size", "sum"])
    )
    over = (per_person["size"] > limits.person_day_packets) | (per_person["sum"] > limits.person_day_fen)
    if people := int(over.sum()):
        yield text(
            "people who get more than {packets} packets or ¥{yuan}, the limits of one day: {people}; "
            "their surplus waits for the next days",
            people=people,
            packets=limits.person_day_packets,
            yuan=yuan_text(limits.person_day_fen),
        )
