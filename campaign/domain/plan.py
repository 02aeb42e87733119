"""What a sheet asks for beyond what the ledger knows, and whether the two may go together (section 3)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from itertools import compress, zip_longest
from typing import Any, Final, overload

from campaign.domain.answer import Reach
from campaign.domain.billno import Tie, first_billnos, mch_billno
from campaign.domain.canonical import canonical_json
from campaign.domain.entry import Entry, NewEntries
from campaign.domain.occurrences import made_once
from campaign.domain.order import Line, Lines, Orders, PacketOrder, People, Wording, as_orders, line_of
from campaign.domain.packet import OWN_PARAMETERS, Sender, request_parameters, shared_parameters
from campaign.domain.state import Evidence, State

#: Fields of the request that the sheet's owner decides; a difference after a request is a conflict.
_FACTS: Final = (
    "re_openid",
    "total_amount",
    "wishing",
    "send_name",
    "act_name",
    "remark",
    "scene_id",
    "risk_info",
)

ORDINAL_KEYS: Final = "re_openid+ordinal"
#: Still to be sent; what was cancelled is planned again when the campaign is reopened.
_UNSENT: Final = (State.PLANNED, State.CANCELLED)
#: So many wordings are kept while entries are made; a list has few, or one for each row.
_WORDINGS_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A row that the ledger has, as far as planning needs it."""

    mch_billno: str
    row_key: str
    issue: int
    re_openid: str
    #: Fen.
    total_amount: int
    state: State
    evidence: Evidence | None
    last_reach: Reach
    #: Whether a request under this number may have left.
    sent: bool
    #: `canonical_json` of the frozen request parameters, and of the operator's own columns.
    parameters: str
    own: str
    sheet: str
    row: int
    #: Planned, but not in the sheet that was run last.
    unlisted: bool = False
    #: What WeChat Pay said about it does not agree, so nothing of it proves anything; a person has to look.
    flagged: bool = False

    @property
    def proof(self) -> Evidence | None:
        """What `evidence` says of a rejected row, where nothing contradicts it."""
        return None if self.flagged else self.evidence


class Clash(StrEnum):
    """Why sheet and ledger cannot both be right."""

    #: The same number would stand for other facts.
    EDITED = "edited"
    #: The keys come from another column than before.
    KEY_COLUMN = "key_column"
    #: This person has an entry under a key that the sheet no longer has.
    OTHER_KEY = "other_key"
    #: A second number is asked for, and the first is not proven dead.
    NOT_DEAD = "not_dead"
    #: A person's rows were removed, inserted or re-ordered after one of them was sent.
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicting:
    """One conflict, with both sides of it."""

    clash: Clash
    order: PacketOrder | None = None
    field: str = ""
    #: The ledger's side and the sheet's side, as text.
    was: str = ""
    now: str = ""
    row: int = 0


class Fate(IntEnum):
    """What planning makes of an order."""

    #: It has no entry yet.
    NEW = 0
    #: Its entry is still to be sent.
    PENDING = 1
    #: Its entry stands as it is.
    STANDS = 2
    #: Its entry is to be sent anew: it was withdrawn, refused or not listed, or had another openid or amount.
    #: What other campaigns have paid meanwhile was compared without it, or may have been.
    RENEWED = 3


class Chosen(Orders):
    """Those orders of a sheet that have one of these fates."""

    def __init__(self, orders: Orders, fates: bytearray, chosen: Collection[Fate]) -> None:
        """Take the choice down; a fate that changes later changes nothing here.

        Args:
            fates: of each order.
        """
        self._orders = orders
        table = bytearray(256)
        for fate in chosen:
            table[fate] = 1
        self._chosen = fates.translate(table)

    def __len__(self) -> int:
        return self._chosen.count(1)

    def __iter__(self) -> Iterator[PacketOrder]:
        return compress(self._orders, self._chosen)

    @overload
    def __getitem__(self, index: int) -> PacketOrder: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PacketOrder]: ...
    def __getitem__(self, index: int | slice) -> PacketOrder | Sequence[PacketOrder]:
        places = [at for at, chosen in enumerate(self._chosen) if chosen][index]
        return self._orders[places] if isinstance(places, int) else [self._orders[at] for at in places]

    def columns(self) -> Iterator[Lines]:
        return map(Lines._make, self._of_chosen(self._orders.columns()))

    def payment_columns(self) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        return ((openids, fens) for openids, fens in self._of_chosen(self._orders.payment_columns()))

    def people(self) -> People:
        return super().people() if 0 in self._chosen else self._orders.people()

    def _of_chosen(self, all_columns: Iterable[Sequence[Sequence[Any]]]) -> Iterator[Sequence[Sequence[Any]]]:
        start = 0
        for columns in all_columns:
            end = start + len(columns[0])
            chosen = self._chosen[start:end]
            if all(chosen):
                yield columns
            elif any(chosen):
                yield [tuple(compress(column, chosen)) for column in columns]
            start = end


@dataclass(slots=True, kw_only=True)
class Draft:
    """What planning this sheet would do. Nothing is written yet."""

    campaign: str
    mch_id: str
    sender: Sender
    orders: Orders
    #: A `Fate` for each order, a byte each.
    fates: bytearray
    #: Entries that were never sent, or were refused unstored, and take the sheet's current values.
    revised: list[tuple[Known, PacketOrder]] = field(default_factory=list)
    #: Rows whose entries stand as they are.
    unchanged: int = 0
    #: Of these the ones whose entries were sent with other values than the settings give now.
    outdated: int = 0
    #: Entries that may have been paid and whose keys the sheet, if it is whole, does not have.
    missing: int = 0
    #: Planned entries that are not in this sheet, and so are not sent now; and those that are back in it.
    unlisted: list[str] = field(default_factory=list)
    relisted: list[str] = field(default_factory=list)
    #: Earlier numbers on whose death, or return, a later one that is to be sent rests.
    rests_on: list[str] = field(default_factory=list)
    conflicts: list[Conflicting] = field(default_factory=list)

    @property
    def new(self) -> Orders:
        """Rows that have no entry yet."""
        return Chosen(self.orders, self.fates, (Fate.NEW,))

    @property
    def pending(self) -> Orders:
        """Every row that is still to be sent: the new, the revised and the planned ones."""
        return Chosen(self.orders, self.fates, (Fate.NEW, Fate.PENDING, Fate.RENEWED))

    @property
    def claims(self) -> Orders:
        """Rows that nobody has compared with the merchant's other campaigns yet."""
        return Chosen(self.orders, self.fates, (Fate.NEW, Fate.RENEWED))

    def number(self, order: PacketOrder | Line) -> str:
        """The bill number of one of the orders."""
        return self._number(order.row_key, order.tie)

    def _number(self, row_key: str, tie: Tie | None) -> str:
        if tie:
            return mch_billno(
                mch_id=self.mch_id, campaign_id=tie.campaign, row_key=tie.row_key, issue=tie.issue
            )
        return mch_billno(mch_id=self.mch_id, campaign_id=self.campaign, row_key=row_key)

    def entries(self) -> Iterator[NewEntries]:
        """The new entries, some at a time: a million of them need not exist together."""
        shared = _Shared(self.sender)
        for sheets, rows, keys, openids, fens, wordings, owns, ties in self.new.columns():
            issues = [1] * len(rows)
            if any(ties):
                numbers = list(map(self._number, keys, ties))
                issues = [tie.issue if tie else 1 for tie in ties]
                keys = [tie.row_key if tie else key for key, tie in zip(keys, ties, strict=True)]
            else:
                numbers = first_billnos(mch_id=self.mch_id, campaign_id=self.campaign, row_keys=keys)
            nonces = [""] * len(rows)
            parameters = made_once(shared.__getitem__, wordings)
            yield NewEntries(numbers, keys, issues, sheets, rows, openids, fens, nonces, owns, parameters)

    def revisions(self) -> Iterator[Entry]:
        """The revised entries with their new values."""
        for known, order in self.revised:
            yield entry_of(order, known.mch_billno, campaign=self.campaign, sender=self.sender)


class _Shared(dict[Wording, Mapping[str, str]]):
    """The parameters of each wording, as `NewEntries` have them; those of the last ones are kept."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender

    def __missing__(self, wording: Wording) -> Mapping[str, str]:
        if len(self) >= _WORDINGS_KEPT:
            self.clear()
        found = self[wording] = shared_parameters(wording, self._sender) | dict.fromkeys(OWN_PARAMETERS, "")
        return found


def entry_of(order: PacketOrder, billno: str, *, campaign: str, sender: Sender) -> Entry:
    """The planned entry of an order."""
    return Entry(
        mch_billno=billno,
        campaign=campaign,
        row_key=line_of(order).entry_key,
        issue=order.tie.issue if order.tie else 1,
        sheet=order.source.sheet,
        row=order.source.row,
        re_openid=order.re_openid,
        total_amount=order.total_amount,
        parameters=request_parameters(order, billno, sender),
        own=order.own,
    )


def draft_plan(
    orders: Sequence[PacketOrder],
    known_rows: Iterable[Known],
    *,
    campaign: str,
    mch_id: str,
    sender: Sender,
    key_column: str,
    known_key_column: str | None,
    partial: bool = False,
) -> Draft:
    """Compare a sheet with the ledger's entries of its campaign.

    Args:
        known_rows: every entry of the campaign.
        known_key_column: which column gave the keys before; None for a new campaign.
        partial: the sheet shows only a part of the campaign on purpose (a fix sheet, ``--limit``), so
            rows that it lacks mean nothing.

    Returns:
        the draft; with ``conflicts`` in it, nothing of it may be carried out.
    """
    sheet = as_orders(orders)
    draft = Draft(campaign=campaign, mch_id=mch_id, sender=sender, orders=sheet, fates=bytearray(len(sheet)))
    ties = list(sheet.ties())
    if known_key_column is not None and not ties and key_column != known_key_column:
        draft.conflicts.append(
            Conflicting(clash=Clash.KEY_COLUMN, field="id", was=known_key_column, now=key_column)
        )
        draft.fates = bytearray([Fate.STANDS]) * len(sheet)
        return draft

    reissued = {tie.row_key for tie in ties if tie.issue > 1}
    # openid -> every entry of that person, where ordinals count them; row key -> its earlier issues
    people: dict[str, list[Known]] = defaultdict(list)
    issues: dict[str, list[Known]] = defaultdict(list)
    gone: list[Known] = []
    for at, order, known in _pairs(draft, known_rows):
        if key_column == ORDINAL_KEYS and not partial and not known.unlisted:
            people[known.re_openid].append(known)
        if known.row_key in reissued:
            issues[known.row_key].append(known)
        if order is None:
            gone.append(known)
            continue
        draft.fates[at] = _compare(draft, known, order)
        if known.unlisted and known.state in _UNSENT:
            draft.relisted.append(known.mch_billno)
    elsewhere = _not_shown(draft, gone, partial=partial)
    keys_are_ids = (known_key_column if ties and known_key_column else key_column) == "id"
    _check_people(draft, elsewhere, issues, keys_are_ids=keys_are_ids)
    if reissued:
        _check_issues(draft, issues)
    _check_repeats(draft, people, sheet)
    return draft


def _pairs(draft: Draft, known_rows: Iterable[Known]) -> Iterator[tuple[int, PacketOrder | None, Known]]:
    """Each entry with its order and the order's place; entries that the sheet lacks, at last.

    Both sides come in the order of the sheet, so what waits for its partner is little, unless the sheet
    was sorted anew.
    """
    early_orders: dict[str, tuple[int, PacketOrder]] = {}
    early_entries: dict[str, Known] = {}
    for placed, known in zip_longest(enumerate(draft.orders), known_rows):
        if known is None and not early_entries:
            return  # only new rows follow
        if placed is not None:
            number = draft.number(placed[1])
            if known is not None and known.mch_billno == number:
                yield *placed, known
                continue
            if (earlier := early_entries.pop(number, None)) is not None:
                yield *placed, earlier
            elif known is not None:
                assert number not in early_orders, "two rows under one number: checks refuse a repeated key"
                early_orders[number] = placed
        if known is not None:
            if (partner := early_orders.pop(known.mch_billno, None)) is not None:
                yield *partner, known
            else:
                early_entries[known.mch_billno] = known
    for known in early_entries.values():
        yield -1, None, known


def _not_shown(draft: Draft, gone: Sequence[Known], *, partial: bool) -> dict[str, list[Known]]:
    """By openid the entries that the sheet does not show under that person's own key."""
    keys = {known.row_key for known in gone}
    shown = {
        line.entry_key: line.re_openid
        for line in (draft.orders.lines() if keys else ())
        if line.entry_key in keys
    }
    elsewhere: dict[str, list[Known]] = defaultdict(list)
    for known in gone:
        if known.state in _UNSENT and not known.unlisted:
            draft.unlisted.append(known.mch_billno)
        if shown.get(known.row_key) != known.re_openid:
            elsewhere[known.re_openid].append(known)
        if known.row_key not in shown and not partial and _may_be_stored(known):
            draft.missing += 1
    return elsewhere


def _may_be_stored(known: Known) -> bool:
    """Whether an order may exist under this number. If not, its row may still be taken away or corrected."""
    # Refused before an order was stored, or that and corrected since.
    refused = known.proof is Evidence.UNSTORED or known.state is State.PLANNED
    return known.sent and not refused


def _compare(draft: Draft, known: Known, order: PacketOrder) -> Fate:
    """Sort a row that has an entry into unchanged, revised and conflicting."""
    same = _fits(known, order, draft.sender)
    if known.state in _UNSENT:
        pending = True
        revised = not same or canonical_json(order.own) != known.own or known.row != order.source.row
    elif known.proof is Evidence.UNSTORED:
        # Corrected in the sheet or the settings, or the refusal meant the settings as a whole.
        pending = revised = not same or known.last_reach is Reach.ABORT
    else:
        pending = revised = False
        if not same:
            draft.outdated += 1
            draft.conflicts.extend(edits(known, order))
    if revised:
        draft.revised.append((known, order))
    else:
        draft.unchanged += 1
    if not pending:
        return Fate.STANDS
    # What was off the list may have been withdrawn meanwhile, when others were compared with it.
    compared = (known.re_openid, known.total_amount) == (order.re_openid, order.total_amount)
    listed = known.state is State.PLANNED and not known.unlisted
    return Fate.PENDING if listed and compared else Fate.RENEWED


def _fits(known: Known, order: PacketOrder, sender: Sender) -> bool:
    """Whether this row would be sent with the very parameters that the entry has."""
    return canonical_json(request_parameters(order, known.mch_billno, sender)) == known.parameters


def edits(known: Known, order: PacketOrder) -> Iterator[Conflicting]:
    """What the row's owner changed. A text that merely follows a changed setting is no edit of the row."""
    before: dict[str, str] = json.loads(known.parameters)
    for name in _FACTS:
        was, now = before.get(name, ""), str(getattr(order, name))
        if was == now or name in order.from_settings:
            continue
        yield Conflicting(clash=Clash.EDITED, order=order, field=name, was=was, now=now, row=order.source.row)


def _other_key(order: PacketOrder, other: Known) -> Conflicting:
    return Conflicting(
        clash=Clash.OTHER_KEY,
        order=order,
        field="re_openid",
        was=other.row_key,
        now=order.row_key,
        row=other.row,
    )


def _check_people(
    draft: Draft,
    elsewhere: Mapping[str, list[Known]],
    issues: Mapping[str, Sequence[Known]],
    *,
    keys_are_ids: bool,
) -> None:
    """Find people who would get a second number because their row is known under another key.

    A row of a fix sheet that changes the openid may meet a person who was paid meanwhile through the
    corrected original. With an id column that cannot be: the corrected original keeps its key. A reissued
    row that was this person's before is nobody else's either, whatever other rows the person has.

    A row that was not sent yet may take an openid that had a row of its own. Where that row is no longer
    there, both were meant to be one packet; if it may have been paid, it stays the one.
    """
    for order in draft.new if elsewhere else ():
        others = elsewhere.get(order.re_openid)
        own = order.tie and any(k.re_openid == order.re_openid for k in issues.get(order.tie.row_key, ()))
        if others and not (order.tie and keys_are_ids) and not own:
            draft.conflicts.append(_other_key(order, others[0]))
    for known, order in draft.revised if elsewhere else ():
        if order.re_openid == known.re_openid or (order.tie and keys_are_ids):
            continue
        others = elsewhere.get(order.re_openid, [])
        if not order.tie:
            others = list(filter(_may_be_stored, others))
        if others:
            draft.conflicts.append(_other_key(order, others[0]))


def _check_issues(draft: Draft, issues: Mapping[str, Sequence[Known]]) -> None:
    """A higher issue number needs the proof that every one before it is dead, or came back.

    The proof is the ledger's own record: without the entry of the issue before there is none, nor where
    WeChat Pay has contradicted it since the sheet was written, or since the row was planned.
    """
    for order in draft.pending:
        if order.tie is None or order.tie.issue == 1:
            continue
        before = [k for k in issues.get(order.tie.row_key, ()) if k.issue < order.tie.issue]
        draft.rests_on.extend(k.mch_billno for k in before)
        alive = [k for k in before if not _is_over(k)]
        if alive or order.tie.issue - 1 not in {k.issue for k in before}:
            last = replace(order, tie=replace(order.tie, issue=order.tie.issue - 1))
            draft.conflicts.append(
                Conflicting(
                    clash=Clash.NOT_DEAD,
                    order=order,
                    was=alive[0].mch_billno if alive else draft.number(last),
                    now=_standing_of(alive[0]) if alive else "unknown",
                    row=alive[0].row if alive else 0,
                )
            )


def _standing_of(known: Known) -> str:
    return "contradicted" if known.flagged else known.state


def _is_over(known: Known) -> bool:
    """Whether this packet is dead, or its money came back, and nothing contradicts that."""
    return known.proof is Evidence.DEAD or (known.state is State.REFUNDED and not known.flagged)


def _check_repeats(draft: Draft, people: Mapping[str, list[Known]], orders: Sequence[PacketOrder]) -> None:
    """Ordinals count a person's rows, so after the first request their rows may only grow at the end.

    A row has moved when its content now stands under another ordinal of that person and no longer under
    its own. Rows that are alike in all they send and in the operator's own columns cannot be told apart,
    and need not be.
    """
    rows: dict[str, dict[str, PacketOrder]] = defaultdict(dict)
    for order in orders if people else ():
        if order.re_openid in people:
            rows[order.re_openid][order.row_key] = order
    for openid, entries in people.items():
        now = rows[openid]
        if not any(map(_may_be_stored, entries)):
            continue
        if any(k.row_key not in now or _moved(k, now, draft.sender) for k in entries):
            draft.conflicts.append(
                Conflicting(
                    clash=Clash.REORDERED,
                    order=next(iter(now.values()), None),
                    field="re_openid",
                    was=str(len(entries)),
                    now=str(len(now)),
                    row=entries[0].row,
                )
            )


def _moved(known: Known, now: Mapping[str, PacketOrder], sender: Sender) -> bool:
    def holds(order: PacketOrder) -> bool:
        return _fits(known, order, sender) and canonical_json(order.own) == known.own

    return not holds(now[known.row_key]) and any(map(holds, now.values()))
