"""What a sheet asks for beyond what the ledger knows, and whether the two may go together (section 3)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from campaign.domain.answer import Reach
from campaign.domain.billno import mch_billno
from campaign.domain.entry import Entry
from campaign.domain.order import PacketDefaults, PacketOrder
from campaign.domain.packet import Sender, request_parameters
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
#: Of these the settings may have given the value; following a changed setting is not an edit of the row.
_FROM_SETTINGS: Final = frozenset(_FACTS) - {"re_openid", "total_amount"}

ORDINAL_KEYS: Final = "re_openid+ordinal"


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


@dataclass(slots=True, kw_only=True)
class Draft:
    """What planning this sheet would do. Nothing is written yet."""

    campaign: str
    mch_id: str
    sender: Sender
    #: Rows that have no entry yet, with their numbers.
    new: list[tuple[str, PacketOrder]] = field(default_factory=list)
    #: Entries that were never sent, or were refused unstored, and take the sheet's current values.
    revised: list[tuple[Known, PacketOrder]] = field(default_factory=list)
    #: Rows whose entries stand as they are.
    unchanged: int = 0
    #: Every row that is still to be sent: the new, the revised and the planned ones.
    pending: list[PacketOrder] = field(default_factory=list)
    #: Entries of the campaign that the sheet does not have, and their fen.
    missing: int = 0
    missing_fen: int = 0
    conflicts: list[Conflicting] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """The new entries, built one at a time: a million of them need not exist together."""
        for billno, order in self.new:
            yield entry_of(order, billno, campaign=self.campaign, sender=self.sender)

    def revisions(self) -> Iterator[Entry]:
        """The revised entries with their new values."""
        for known, order in self.revised:
            yield entry_of(order, known.mch_billno, campaign=self.campaign, sender=self.sender)


def entry_of(order: PacketOrder, billno: str, *, campaign: str, sender: Sender) -> Entry:
    """The planned entry of an order."""
    return Entry(
        mch_billno=billno,
        campaign=campaign,
        row_key=order.tie.row_key if order.tie else order.row_key,
        issue=order.tie.issue if order.tie else 1,
        sheet=order.source.sheet,
        row=order.source.row,
        re_openid=order.re_openid,
        total_amount=order.total_amount,
        parameters=request_parameters(order, billno, sender),
        own=order.own,
    )


def canonical_json(values: Mapping[str, object]) -> str:
    """One text for one mapping, for storing and comparing."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def draft_plan(
    orders: Sequence[PacketOrder],
    known_rows: Iterable[Known],
    *,
    campaign: str,
    mch_id: str,
    sender: Sender,
    defaults: PacketDefaults,
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
    draft = Draft(campaign=campaign, mch_id=mch_id, sender=sender)
    wanted = {_number(order, campaign=campaign, mch_id=mch_id): order for order in orders}
    tied = any(order.tie for order in orders)
    if known_key_column is not None and not tied and key_column != known_key_column:
        draft.conflicts.append(
            Conflicting(clash=Clash.KEY_COLUMN, field="id", was=known_key_column, now=key_column)
        )
        return draft

    # openid -> entries of that person which this sheet does not show under their own key
    elsewhere: dict[str, list[Known]] = defaultdict(list)
    people: dict[str, list[Known]] = defaultdict(list)
    for known in known_rows:
        order = wanted.pop(known.mch_billno, None)
        if key_column == ORDINAL_KEYS and not tied:
            people[known.re_openid].append(known)
        if order is None:
            draft.missing += 1
            draft.missing_fen += known.total_amount
            if known.state is not State.CANCELLED:
                elsewhere[known.re_openid].append(known)
        else:
            _compare(draft, known, order, defaults)

    draft.new.extend(wanted.items())
    draft.pending.extend(wanted.values())
    keys_are_ids = (known_key_column if tied and known_key_column else key_column) == "id"
    _check_people(draft, elsewhere, ordinals=key_column == ORDINAL_KEYS, keys_are_ids=keys_are_ids)
    if people and not partial:
        _check_repeats(draft, people, orders)
    return draft


def _number(order: PacketOrder, *, campaign: str, mch_id: str) -> str:
    if order.tie:
        return mch_billno(
            mch_id=mch_id, campaign_id=order.tie.campaign, row_key=order.tie.row_key, issue=order.tie.issue
        )
    return mch_billno(mch_id=mch_id, campaign_id=campaign, row_key=order.row_key)


def _compare(draft: Draft, known: Known, order: PacketOrder, defaults: PacketDefaults) -> None:
    parameters = request_parameters(order, known.mch_billno, draft.sender)
    same = canonical_json(parameters) == known.parameters
    frozen = known.sent and known.state is not State.REJECTED
    if known.evidence is Evidence.DEAD:
        frozen = True
    if frozen:
        if not same:
            draft.conflicts.extend(_edits(known, order, defaults))
        draft.unchanged += 1
    elif known.state is State.REJECTED:
        # Unstored: corrected in the sheet or the settings, or the refusal meant the settings as a whole.
        if not same or known.last_reach is Reach.ABORT:
            draft.revised.append((known, order))
            draft.pending.append(order)
        else:
            draft.unchanged += 1
    elif not same or canonical_json(order.own) != known.own or known.row != order.source.row:
        draft.revised.append((known, order))
        draft.pending.append(order)
    else:
        draft.unchanged += 1
        draft.pending.append(order)


def _edits(known: Known, order: PacketOrder, defaults: PacketDefaults) -> Iterator[Conflicting]:
    before: dict[str, str] = json.loads(known.parameters)
    for name in _FACTS:
        was, now = before.get(name, ""), str(getattr(order, name))
        if was == now or (name in _FROM_SETTINGS and now == getattr(defaults, name)):
            continue
        yield Conflicting(
            clash=Clash.EDITED, order=order, field=name, was=was, now=now, row=order.source.row
        )


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
    draft: Draft, elsewhere: Mapping[str, list[Known]], *, ordinals: bool, keys_are_ids: bool
) -> None:
    """Find people who would get a second number because their row is known under another key.

    A row of a fix sheet that changes the openid may meet a person who was paid meanwhile through the
    corrected original. With an id column that cannot be: the corrected original keeps its key.
    """
    for _, order in draft.new:
        others = elsewhere.get(order.re_openid, ())
        if order.tie:
            if order.tie.issue > 1:
                _check_reissue(draft, order, others)
            others = [] if keys_are_ids else [k for k in others if k.row_key != order.tie.row_key]
        if others and (order.tie or not ordinals):
            draft.conflicts.append(_other_key(order, others[0]))
    for known, order in draft.revised:
        if order.tie and order.re_openid != known.re_openid and not keys_are_ids:
            others = [k for k in elsewhere.get(order.re_openid, ()) if k.mch_billno != known.mch_billno]
            if others:
                draft.conflicts.append(_other_key(order, others[0]))


def _check_reissue(draft: Draft, order: PacketOrder, others: Sequence[Known]) -> None:
    """A higher issue number needs the proof that the one before it is dead, or came back."""
    assert order.tie is not None  # noqa: S101 - the caller looked
    before = [k for k in others if k.row_key == order.tie.row_key and k.issue == order.tie.issue - 1]
    for known in before:
        if known.evidence is not Evidence.DEAD and known.state is not State.REFUNDED:
            draft.conflicts.append(
                Conflicting(
                    clash=Clash.NOT_DEAD, order=order, was=known.mch_billno, now=known.state, row=known.row
                )
            )


def _check_repeats(
    draft: Draft, people: Mapping[str, list[Known]], orders: Sequence[PacketOrder]
) -> None:
    """Ordinals count a person's rows, so after the first request their rows may only grow at the end."""
    rows: dict[str, list[PacketOrder]] = defaultdict(list)
    for order in orders:
        if order.re_openid in people:
            rows[order.re_openid].append(order)
    for openid, entries in people.items():
        if not any(k.sent for k in entries):
            continue
        keys = {k.row_key for k in entries}
        now = {o.row_key: o for o in rows[openid]}
        appended = [o for key, o in now.items() if key not in keys]
        last_row = max(k.row for k in entries)
        if keys - now.keys() or any(o.source.row <= last_row for o in appended):
            draft.conflicts.append(
                Conflicting(
                    clash=Clash.REORDERED,
                    order=next(iter(now.values()), None),
                    field="re_openid",
                    was=str(len(keys)),
                    now=str(len(now)),
                    row=entries[0].row,
                )
            )
