"""The rows as a pandas DataFrame, for questions that no page of the report answers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import pandas

from campaign.domain.days import BEIJING
from campaign.domain.entry import Entry
from campaign.domain.mask import mask_inside, mask_openid
from campaign.domain.state import State
from campaign.domain.summary import back_fen, closed_at_s, paid_fen
from campaign.domain.verdict import Verdict, verdict
from campaign.ledger.store import Ledger
from campaign.report.lines import ENTRY_COLUMNS

#: So many rows are turned into columns at once.
_TOGETHER: Final = 10_000

#: Knows missing values, so that no join or reindexing turns fen into floats.
_WHOLE: Final = "Int64"
_TEXT: Final = "str"
#: To the second, as in the report.
_TIME: Final = f"datetime64[s, {BEIJING.key}]"
#: A category of the values that there are. Pieces with categories of their own could not be joined, so it is
#: text until all rows are there. Compared by ``is``: to pandas every category's type is equal to this.
_CODE: Final = "category"
_VERDICT: Final = pandas.CategoricalDtype([found.value for found in Verdict])
_STATE: Final = pandas.CategoricalDtype([state.value for state in State])

_Type = str | pandas.CategoricalDtype
_REPORTED: Final = {column.key: column.value for column in ENTRY_COLUMNS}


#: name -> type, and its value; of a time, Unix seconds.
_COLUMNS: Final[Mapping[str, tuple[_Type, Callable[[Entry], Any]]]] = {
    "campaign": (_CODE, attrgetter("campaign")),
    "sheet": (_CODE, _REPORTED["sheet"]),
    "row": (_WHOLE, _REPORTED["row"]),
    "issue": (_WHOLE, attrgetter("issue")),
    "mch_billno": (_TEXT, _REPORTED["mch_billno"]),
    "verdict": (_VERDICT, _REPORTED["verdict"]),
    "state": (_STATE, _REPORTED["state"]),
    "err_code": (_CODE, lambda entry: entry.err_code or None),
    "act_name": (_CODE, _REPORTED["act_name"]),
    "total_amount": (_WHOLE, _REPORTED["total_amount"]),
    "paid_amount": (_WHOLE, lambda entry: paid_fen(entry, verdict(entry))),
    "refund_amount": (_WHOLE, lambda entry: back_fen(entry, verdict(entry))),
    "sent_at": (_TIME, _REPORTED["sent_at"]),
    "accepted_at": (_TIME, attrgetter("accepted_at_s")),
    "rcv_time": (_TIME, _REPORTED["rcv_time"]),
    "refund_time": (_TIME, _REPORTED["refund_time"]),
    "closed_at": (_TIME, lambda entry: closed_at_s(entry, verdict(entry))),
    "settled_at": (_TIME, attrgetter("settled_at_s")),
}
_VALUES: Final = tuple(value for _, value in _COLUMNS.values())
#: After those: who it is.
_PERSON: Final[dict[str, _Type]] = {"person": _WHOLE, "re_openid": _TEXT, "row_key": _TEXT}


def data_frame(ledger: Ledger | None, names: Container[str], *, unmask: bool = False) -> pandas.DataFrame:
    """The rows of these campaigns, the oldest first, each in sheet order; `RedPack.frame` tells the columns.

    Args:
        unmask: full openids.
    """
    known = ledger.campaigns() if ledger else []
    campaigns = [campaign for campaign in known if campaign.name in names]
    own = list(dict.fromkeys(header for campaign in campaigns for header in campaign.own_headers))
    types = {name: kind for name, (kind, _) in _COLUMNS.items()} | _PERSON
    types |= dict.fromkeys(own_names(own), _TEXT)
    entries = (entry for campaign in campaigns if ledger for entry in ledger.entries(campaign.name))
    rows = _rows(entries, own, unmask=unmask)
    pieces = [_piece(some, types) for some in iter(lambda: list(islice(rows, _TOGETHER)), [])]
    frame = pandas.concat(pieces or [_piece([], types)], ignore_index=True)
    return frame.astype({name: _CODE for name, kind in types.items() if kind is _CODE})


def own_names(headers: Sequence[str]) -> list[str]:
    """The columns' names for the operator's own headers: the same, or with ``own_`` where we have one of it.

    No two get the same name, and no header's depends on the others' order.
    """
    ours = _COLUMNS.keys() | _PERSON.keys()
    taken = ours | set(headers)
    names = []
    for name in headers:
        if name in ours:
            while name in taken:
                name = f"own_{name}"
        names.append(name)
    return names


def _rows(entries: Iterable[Entry], own: Sequence[str], *, unmask: bool) -> Iterator[list[Any]]:
    people: dict[str, int] = {}
    for entry in entries:
        openid = entry.re_openid
        person = people.setdefault(openid, len(people) + 1)
        shown, row_key, cells = openid, entry.row_key, [entry.own.get(header) for header in own]
        if not unmask:
            # The row key is the openid, or begins with it, where the sheet has no id column; and the
            # operator's columns may name him, or others beside him.
            shown, row_key = mask_openid(openid), mask_inside(row_key, openid)
            cells = [cell and mask_inside(cell, openid) for cell in cells]
        yield [*[value(entry) for value in _VALUES], person, shown, row_key, *cells]


def _piece(rows: Sequence[Sequence[Any]], types: Mapping[str, _Type]) -> pandas.DataFrame:
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(types)
    return pandas.DataFrame(
        {name: _series(values, types[name]) for name, values in zip(types, columns, strict=True)}
    )


def _series(values: Sequence[Any], kind: _Type) -> pandas.Series[Any]:
    if kind is _TIME:
        # WeChat Pay's own time is text where it has another form than all of them.
        values = [None if at_s is None or isinstance(at_s, str) else int(at_s // 1) for at_s in values]
    elif kind is _TEXT or kind is _CODE:
        kind, seen = _TEXT, dict[Any, Any]()
        values = [seen.setdefault(value, value) for value in values]  # equal ones are kept once
    return pandas.Series(list(values), dtype=kind)
