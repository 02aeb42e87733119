"""Before a request leaves: budgets, the durable intent, and what is put off."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Final, TypeAlias

from campaign.domain.days import beijing_days, next_day_start_s
from campaign.domain.decision import REPEAT_GAP_S, REPEAT_WINDOW_S
from campaign.domain.entry import Claim, Entry, Sending
from campaign.domain.limits import Allowance, Cap, Limits, Used
from campaign.domain.state import COMMITTED, State
from campaign.ledger.database import StaleEntry
from campaign.ledger.reading import Reading
from campaign.ledger.records import Begun, EventKind
from campaign.ledger.rows import (
    CAMPAIGN_ID,
    EARLIER_STAND,
    FLAG_KEPT,
    SENDING_COLUMNS,
    detail_json,
    sending_of,
)

# One statement for a whole batch: what SQLite does for each statement that fires triggers costs more than
# a row of it. The plus in front of the state keeps SQLite from looking for a partial index that serves the
# state it is given: it would prepare the statement anew for each batch, for half a millisecond.
_BEGIN: Final = f"""
    UPDATE entry SET
        state = 'in_doubt', attempts = attempts + 1, evidence = NULL, todo = 'ask', due_at_s = :until_s,
        not_before_s = 0, first_sent_at_s = COALESCE(first_sent_at_s, :now_s), last_sent_at_s = :now_s,
        not_found_at_s = NULL, sending_since_s = NULL, last_outcome = NULL, last_reach = 'row',
        owner = :owner, lease_until_s = :until_s, {FLAG_KEPT}
    FROM json_each(:claims) AS claim
    WHERE mch_billno = claim.key AND +state = :state AND attempts = :attempts
        AND re_openid || ' ' || total_amount = claim.value
        AND (state = 'planned' AND unlisted = 0 AND not_before_s <= :now_s
             OR state IN ('in_doubt', 'parked') AND todo = 'repeat' AND due_at_s <= :now_s)
        AND (owner IS NULL OR owner = :owner OR lease_until_s <= :now_s)
        AND (first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})
        AND (last_sent_at_s IS NULL OR last_sent_at_s + {REPEAT_GAP_S} <= :now_s)
        AND EXISTS (SELECT 1 FROM campaign WHERE id = entry.campaign AND cancelled_at_s IS NULL)
        AND {EARLIER_STAND}
    RETURNING mch_billno, seq, wording, {SENDING_COLUMNS}
"""

_ADD_ATTEMPTS: Final = """
    INSERT INTO attempt (entry, n, begun_at_s, begun_event)
    SELECT value, :attempts + 1, :now_s, :event FROM json_each(:begun)
"""

_COUNT_DAYS: Final = """
    INSERT OR IGNORE INTO sent_day (entry, day, re_openid, total_amount)
    SELECT entry.seq, day.value, re_openid, total_amount
    FROM json_each(:begun) AS begun JOIN entry ON entry.seq = begun.value JOIN json_each(:days) AS day
"""


#: A number with the state and the last attempt that it is expected to have.
_Wanted: TypeAlias = tuple[str, State, int]
_NO_DAYS: Final = frozenset[date]()


class Sends(Reading):
    """What leaves, and what a cap holds back."""

    def used(self, campaign: str, *, days: Sequence[date], people: Collection[str] = ()) -> Used:
        """What counts against the caps already; of the people only the named ones.

        The money in doubt and the days are the merchant's, of all campaigns together.
        """
        merchant: dict[date, int] = {}
        persons: dict[tuple[date, str], tuple[int, int]] = {}
        named = json.dumps(list(people))
        for day in days:
            row = self._one("SELECT fen FROM merchant_day WHERE day = ?", (day.isoformat(),))
            merchant[day] = row[0] if row else 0
            rows = self._all(
                "SELECT re_openid, packets, fen FROM person_day"
                " WHERE day = ? AND re_openid IN (SELECT value FROM json_each(?))",
                (day.isoformat(), named),
            )
            persons |= {(day, openid): (packets, fen) for openid, packets, fen in rows}
        return Used(
            campaign_fen=self.counted_fen(campaign),
            in_doubt_fen=self._value("SELECT COALESCE(SUM(fen), 0) FROM total WHERE state = 'in_doubt'"),
            merchant_day_fen=merchant,
            person_day=persons,
        )

    def counted_fen(self, campaign: str) -> int:
        """What the campaign's budget has been used for, in fen: what was paid, came back or may be paid.

        That is also what was settled as unpaid where WeChat Pay has contradicted it.
        """
        totals = self.totals(campaign)
        counted = sum(totals[state][1] for state in (*COMMITTED, State.REFUNDED))
        row = self._one(
            f"SELECT COALESCE(SUM(total_amount), 0) FROM entry WHERE campaign = {CAMPAIGN_ID}"
            " AND flag IS NOT NULL AND +state IN ('rejected', 'cancelled')",
            {"campaign": campaign},
        )
        assert row is not None
        return int(counted + row[0])

    def begin_sends(
        self,
        entries: Sequence[Entry | Claim],
        *,
        limits: Limits,
        now_s: float,
        owner: str,
        lease_s: float,
        others: Sequence[Sends] = (),
    ) -> Begun[Sending]:
        """Record, durably, that requests for these entries are about to leave.

        Only what is returned as begun may be sent, with the parameters it is returned with. A begun
        entry is in doubt; if nobody ends it, it is asked about after the lease.

        Args:
            entries: planned, or due for a repeat. One whose state, attempt, openid or amount has changed,
                that another owner is sending, whose time has not come, whose campaign was cancelled, or
                whose row may have been paid under an earlier number, is left out as stale; so is a repeat
                less than 1 s after the last attempt, or 72 h after the first.
            limits: the caps; an entry that one of them forbids is held back. One held by a person's
                daily limit waits for the next Beijing day.
            owner: who is going to send.
            lease_s: how long nobody else repeats them.
            others: the merchant's other ledgers; the merchant's and the people's days are counted in all.
        """
        begun: list[Sending] = []
        held: list[tuple[Entry | Claim, Cap]] = []
        stale: list[Entry | Claim] = []
        days = beijing_days(now_s)
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                batch = list(group)
                held_back: list[tuple[Entry | Claim, Cap]] = []
                while batch:
                    allowance = self._allowance(name, batch, limits, days, others)
                    wanted, held_back = self._within(allowance, batch, days, now_s)
                    found = self._begin(name, wanted, days, now_s, now_s + lease_s, owner)
                    begun += found.values()
                    gone = [e for e in wanted if found.pop((e.mch_billno, e.state, e.attempt), None) is None]
                    stale += gone
                    # What the stale ones seemed to need is there for those that were held back.
                    batch = [entry for entry, _ in held_back] if gone else []
                self._put_off([entry for entry, cap in held_back if cap is Cap.PERSON_DAY], now_s)
                held += held_back
            return Begun(entries=tuple(begun), held=tuple(held), stale=tuple(stale))

    def _allowance(
        self,
        campaign: str,
        batch: Sequence[Entry | Claim],
        limits: Limits,
        days: tuple[date, ...],
        others: Sequence[Sends],
    ) -> Allowance:
        """What is left of the caps for these entries."""
        people = {entry.re_openid for entry in batch}
        used = self.used(campaign, days=days, people=people)
        for other in others:
            used.add_elsewhere(other.used(campaign, days=days, people=people))
        return Allowance(limits, used, days)

    def _within(
        self, allowance: Allowance, batch: Sequence[Entry | Claim], days: Sequence[date], now_s: float
    ) -> tuple[list[Entry | Claim], list[tuple[Entry | Claim, Cap]]]:
        """Those that every cap allows, for which it is spent; and those that one holds back."""
        waiting = self._waiting_people({entry.re_openid for entry in batch}, now_s)
        allowed: list[Entry | Claim] = []
        held: list[tuple[Entry | Claim, Cap]] = []
        for entry in batch:
            counted = self._counted_days(entry, days)
            cap = (
                Cap.PERSON_DAY
                if entry.re_openid in waiting
                else allowance.forbids(entry, counted_days=counted)
            )
            if cap:
                held.append((entry, cap))
            else:
                allowance.spend(entry, counted_days=counted)
                allowed.append(entry)
        return allowed, held

    def _begin(
        self,
        campaign: str,
        batch: Sequence[Entry | Claim],
        days: Sequence[date],
        now_s: float,
        until_s: float,
        owner: str,
    ) -> dict[_Wanted, Sending]:
        """What is ours to send now: still as it was read, and at rest."""
        alike: dict[tuple[State, int], dict[str, Entry | Claim]] = defaultdict(dict)
        for entry in batch:
            alike[entry.state, entry.attempt].setdefault(entry.mch_billno, entry)
        begun: dict[_Wanted, Sending] = {}
        for (state, attempt), claims in alike.items():
            values = {
                "claims": json.dumps({n: f"{e.re_openid} {e.total_amount}" for n, e in claims.items()}),
                "state": state,
                "attempts": attempt,
                "now_s": now_s,
                "until_s": until_s,
                "owner": owner,
                "flag": None,
                "days": json.dumps([day.isoformat() for day in days]),
            }
            rows = {row[0]: row for row in self._all(_BEGIN, values)}
            if not rows:
                continue
            numbers = [number for number in claims if number in rows]
            event = self._append_for_all(
                campaign, numbers, now_s, EventKind.BEGUN, state, State.IN_DOUBT, {"attempt": attempt + 1}
            )
            wordings = self._wordings({row[2] for row in rows.values()})
            for number in numbers:
                _, _, wording, *row = rows[number]
                begun[number, state, attempt] = sending_of(claims[number], wordings[wording], row)
            values |= {"event": event, "begun": json.dumps([row[1] for row in rows.values()])}
            self._db.execute(_ADD_ATTEMPTS, values)
            self._db.execute(_COUNT_DAYS, values)
        return begun

    def _wordings(self, ids: Collection[int]) -> dict[int, str]:
        sql = "SELECT id, parameters FROM wording WHERE id IN (SELECT value FROM json_each(?))"
        return {row[0]: row[1] for row in self._all(sql, (json.dumps(list(ids)),))}

    def suspect(
        self,
        entries: Sequence[Entry],
        *,
        limits: Limits,
        now_s: float,
        others: Sequence[Sends] = (),
    ) -> Begun[Entry]:
        """Planned entries that an unknown ledger may have sent already: in doubt, to be asked about now.

        They count as money in doubt and against the campaign's budget from here on, so both caps hold
        them back; a day's caps are checked when a request leaves.

        Args:
            others: the merchant's other ledgers; the money in doubt is counted in all.
        """
        begun: list[int] = []
        held: list[tuple[Entry | Claim, Cap]] = []
        stale: list[Entry | Claim] = []
        with self.atomic():
            for name, group in groupby(entries, key=lambda entry: entry.campaign):
                batch = list(group)
                allowance = self._allowance(name, batch, limits, (), others)
                for entry in batch:
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

    def _put_off(self, entries: Sequence[Entry | Claim], now_s: float) -> None:
        """Their people's daily limits are met: these entries wait for the next Beijing day, or longer."""
        if not entries:
            return
        waiting = self._waiting_people({entry.re_openid for entry in entries}, now_s)
        for entry in entries:
            until_s = waiting.get(entry.re_openid, next_day_start_s(now_s))
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
                self._append(
                    entry.campaign,
                    row[0],
                    entry.mch_billno,
                    now_s,
                    EventKind.DEFERRED,
                    entry.state,
                    entry.state,
                    detail_json({"until_s": until_s}),
                )

    def _waiting_people(self, people: Iterable[str], now_s: float) -> dict[str, float]:
        sql = (
            "SELECT re_openid, until_s FROM person_wait"
            " WHERE re_openid IN (SELECT value FROM json_each(?)) AND until_s > ?"
        )
        rows = self._all(sql, (json.dumps(list(people)), now_s))
        return {row[0]: row[1] for row in rows}

    def _counted_days(self, entry: Entry | Claim, days: Sequence[date]) -> frozenset[date]:
        """Those of the days on which a request for this entry is counted already."""
        if not entry.attempt:
            return _NO_DAYS
        rows = self._all(
            "SELECT day FROM sent_day WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?)",
            (entry.mch_billno,),
        )
        return frozenset(days) & {date.fromisoformat(row[0]) for row in rows}
