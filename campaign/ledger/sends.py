"""Before a request leaves: budgets, the durable intent, and what is put off."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Final

from campaign.domain.days import beijing_days, next_day_start_s
from campaign.domain.decision import REPEAT_GAP_S, REPEAT_WINDOW_S
from campaign.domain.entry import Entry
from campaign.domain.limits import Allowance, Cap, Limits, Used
from campaign.domain.state import State
from campaign.ledger.database import StaleEntry
from campaign.ledger.reading import Reading
from campaign.ledger.records import Begun, EventKind
from campaign.ledger.rows import FLAG_KEPT

_BEGIN: Final = f"""
    UPDATE entry SET
        state = 'in_doubt', attempts = attempts + 1, evidence = NULL, todo = 'ask', due_at_s = :until_s,
        not_before_s = 0, first_sent_at_s = COALESCE(first_sent_at_s, :now_s), last_sent_at_s = :now_s,
        not_found_at_s = NULL, sending_since_s = NULL, last_outcome = NULL, last_reach = 'row',
        owner = :owner, lease_until_s = :until_s, {FLAG_KEPT}
    WHERE mch_billno = :mch_billno AND state = :state AND attempts = :attempts
        AND re_openid = :re_openid AND total_amount = :total_amount
        AND (state = 'planned' AND unlisted = 0 AND not_before_s <= :now_s
             OR state IN ('in_doubt', 'parked') AND todo = 'repeat' AND due_at_s <= :now_s)
        AND (owner IS NULL OR owner = :owner OR lease_until_s <= :now_s)
        AND (first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})
        AND (last_sent_at_s IS NULL OR last_sent_at_s + {REPEAT_GAP_S} <= :now_s)
        AND EXISTS (SELECT 1 FROM campaign WHERE id = entry.campaign AND cancelled_at_s IS NULL)
    RETURNING seq
"""


class Sends(Reading):
    """What leaves, and what a cap holds back."""

    def used(self, campaign: str, *, days: Sequence[date], people: Collection[str] = ()) -> Used:
        """What counts against the caps already; of the people only the named ones.

        The money in doubt and the days are the merchant's, of all campaigns together.
        """
        spent = ("in_doubt", "parked", "accepted", "received", "refunded")
        totals = self.totals(campaign)
        merchant: dict[date, int] = {}
        persons: dict[tuple[date, str], tuple[int, int]] = {}
        for day in days:
            row = self._one("SELECT fen FROM merchant_day WHERE day = ?", (day.isoformat(),))
            merchant[day] = row[0] if row else 0
            for openid in people:
                row = self._one(
                    "SELECT packets, fen FROM person_day WHERE day = ? AND re_openid = ?",
                    (day.isoformat(), openid),
                )
                if row:
                    persons[day, openid] = (row[0], row[1])
        return Used(
            campaign_fen=sum(totals[State(state)][1] for state in spent),
            in_doubt_fen=self._value("SELECT COALESCE(SUM(fen), 0) FROM total WHERE state = 'in_doubt'"),
            merchant_day_fen=merchant,
            person_day=persons,
        )

    def begin_sends(
        self,
        entries: Sequence[Entry],
        *,
        limits: Limits,
        now_s: float,
        owner: str,
        lease_s: float,
        others: Sequence[Sends] = (),
    ) -> Begun:
        """Record, durably, that requests for these entries are about to leave.

        Only what is returned as begun may be sent, with the parameters it is returned with. A begun
        entry is in doubt; if nobody ends it, it is asked about after the lease.

        Args:
            entries: planned, or due for a repeat. One whose state, attempt, openid or amount has changed,
                that another owner is sending, whose time has not come, or whose campaign was cancelled,
                is left out as stale; so is a repeat less than 1 s after the last attempt, or 72 h after
                the first.
            limits: the caps; an entry that one of them forbids is held back. One held by a person's
                daily limit waits for the next Beijing day.
            owner: who is going to send.
            lease_s: how long nobody else repeats them.
            others: the merchant's other ledgers; the merchant's and the people's days are counted in all.
        """
        begun: list[int] = []
        held: list[tuple[Entry, Cap]] = []
        stale: list[Entry] = []
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                batch = list(group)
                days = beijing_days(now_s)
                people = {entry.re_openid for entry in batch}
                used = self.used(name, days=days, people=people)
                for other in others:
                    used.add_elsewhere(other.used(name, days=days, people=people))
                allowance = Allowance(limits, used, days)
                waiting = self._waiting_people(people, now_s)
                for entry in batch:
                    counted = self._counted_days(entry, days)
                    cap = (
                        Cap.PERSON_DAY
                        if entry.re_openid in waiting
                        else allowance.forbids(entry, counted_days=counted)
                    )
                    if cap:
                        held.append((entry, cap))
                        if cap is Cap.PERSON_DAY:
                            self._defer(entry, waiting.get(entry.re_openid, next_day_start_s(now_s)), now_s)
                        continue
                    try:
                        begun.append(self._begin(entry, days, now_s, owner, lease_s))
                    except StaleEntry:
                        stale.append(entry)
                        continue
                    allowance.spend(entry, counted_days=counted)
            return Begun(entries=self._entries(begun), held=tuple(held), stale=tuple(stale))

    def _begin(self, entry: Entry, days: Sequence[date], now_s: float, owner: str, lease_s: float) -> int:
        seq: int = self._guarded(
            _BEGIN,
            {
                "mch_billno": entry.mch_billno,
                "state": entry.state,
                "attempts": entry.attempt,
                "re_openid": entry.re_openid,
                "total_amount": entry.total_amount,
                "now_s": now_s,
                "until_s": now_s + lease_s,
                "owner": owner,
                "flag": None,
            },
        )[0]
        attempt = entry.attempt + 1
        self._db.execute("INSERT INTO attempt (entry, n, begun_at_s) VALUES (?, ?, ?)", (seq, attempt, now_s))
        self._db.executemany(
            "INSERT OR IGNORE INTO sent_day VALUES (?, ?, ?, ?)",
            [(seq, day.isoformat(), entry.re_openid, entry.total_amount) for day in days],
        )
        detail = {"attempt": attempt}
        self._append(
            entry.campaign, seq, entry.mch_billno, now_s, EventKind.BEGUN, entry.state, State.IN_DOUBT, detail
        )
        return seq

    def suspect(self, entries: Sequence[Entry], *, limits: Limits, now_s: float) -> Begun:
        """Planned entries that an unknown ledger may have sent already: in doubt, to be asked about now.

        They count as money in doubt and against the campaign's budget from here on, so both caps hold
        them back; a day's caps are checked when a request leaves.
        """
        begun: list[int] = []
        held: list[tuple[Entry, Cap]] = []
        stale: list[Entry] = []
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                allowance = Allowance(limits, self.used(name, days=()), ())
                for entry in group:
                    cap = allowance.forbids(entry)
                    if cap:
                        held.append((entry, cap))
                        continue
                    try:
                        seq = self._guarded(
                            "UPDATE entry SET state = 'in_doubt', todo = 'ask', due_at_s = :now_s,"
                            " not_before_s = 0 WHERE mch_billno = :mch_billno AND state = 'planned'"
                            " AND unlisted = 0 AND attempts = :attempts AND total_amount = :total_amount"
                            " RETURNING seq",
                            {
                                "now_s": now_s,
                                "mch_billno": entry.mch_billno,
                                "attempts": entry.attempt,
                                "total_amount": entry.total_amount,
                            },
                        )[0]
                    except StaleEntry:
                        stale.append(entry)
                        continue
                    allowance.spend(entry)
                    begun.append(seq)
                    self._append(
                        name,
                        seq,
                        entry.mch_billno,
                        now_s,
                        EventKind.SUSPECTED,
                        State.PLANNED,
                        State.IN_DOUBT,
                    )
            return Begun(entries=self._entries(begun), held=tuple(held), stale=tuple(stale))

    def defer_person(self, campaign: str, re_openid: str, until_s: float, now_s: float) -> None:
        """WeChat Pay allows this person nothing more today: hold every entry of theirs until then."""
        with self.atomic():
            changed = self._one(
                "INSERT INTO person_wait VALUES (?, ?) ON CONFLICT DO UPDATE SET until_s = excluded.until_s"
                " WHERE until_s < excluded.until_s RETURNING until_s",
                (re_openid, until_s),
            )
            if changed:
                detail = {"re_openid": re_openid, "until_s": until_s}
                self._note(campaign, now_s, EventKind.PERSON_DEFERRED, detail)

    def _defer(self, entry: Entry, until_s: float, now_s: float) -> None:
        """A person's daily limit: this entry waits."""
        column = "not_before_s" if entry.state is State.PLANNED else "due_at_s"
        row = self._one(
            f"UPDATE entry SET {column} = :until_s WHERE mch_billno = :mch_billno AND state = :state"
            " AND attempts = :attempts RETURNING seq",
            {
                "until_s": until_s,
                "mch_billno": entry.mch_billno,
                "state": entry.state,
                "attempts": entry.attempt,
            },
        )
        if row:
            detail = {"until_s": until_s}
            self._append(
                entry.campaign,
                row[0],
                entry.mch_billno,
                now_s,
                EventKind.DEFERRED,
                entry.state,
                entry.state,
                detail,
            )

    def _waiting_people(self, people: Iterable[str], now_s: float) -> dict[str, float]:
        sql = "SELECT until_s FROM person_wait WHERE re_openid = ? AND until_s > ?"
        found = ((openid, self._one(sql, (openid, now_s))) for openid in people)
        return {openid: row[0] for openid, row in found if row}

    def _counted_days(self, entry: Entry, days: Sequence[date]) -> frozenset[date]:
        """Those of the days on which a request for this entry is counted already."""
        if not entry.attempt:
            return frozenset()
        rows = self._all(
            "SELECT day FROM sent_day WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?)",
            (entry.mch_billno,),
        )
        return frozenset(days) & {date.fromisoformat(row[0]) for row in rows}
