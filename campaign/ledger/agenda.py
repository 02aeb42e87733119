"""When the program has something to do: what may be sent, is due, waits, or waits no longer."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from campaign.domain.decision import REPEAT_GAP_S, REPEAT_WINDOW_S
from campaign.domain.entry import Claim, Entry, Flag, Todo
from campaign.domain.state import OPEN, State
from campaign.ledger.campaigns import Campaigns
from campaign.ledger.records import EventKind
from campaign.ledger.rows import CAMPAIGN_ID, EARLIER_STAND, ENTRY_COLUMNS, GAP_OVER, entry_of

# One statement for each state: each state has its index.
_DUE: Final = {
    state: f"""
        SELECT {ENTRY_COLUMNS} FROM entry
        WHERE campaign = (SELECT id FROM campaign WHERE name = :campaign
                          AND (:todo = 'ask' OR cancelled_at_s IS NULL))
            AND state = '{state}' AND todo = :todo AND due_at_s <= :now_s
            AND (:todo = 'ask' OR {EARLIER_STAND})
        ORDER BY due_at_s LIMIT :limit
    """
    for state in OPEN
}
_NEXT_DUE: Final = {
    state: f"""
        SELECT due_at_s FROM entry
        WHERE campaign = {CAMPAIGN_ID} AND state = '{state}' AND todo = :todo AND flag IS NULL
            AND due_at_s IS NOT NULL AND (:todo = 'ask' OR {EARLIER_STAND})
        ORDER BY due_at_s LIMIT 1
    """
    for state in OPEN
}


#: Which entries are to be sent next, and in which order.
_SENDABLE: Final = f"""
    FROM entry
    WHERE campaign = {CAMPAIGN_ID} AND state = 'planned' AND unlisted = 0 AND not_before_s <= :now_s
        AND {EARLIER_STAND}
    ORDER BY not_before_s, seq LIMIT :limit
"""


class Agenda(Campaigns):
    """What is due, and what is made due."""

    def sendable(self, campaign: str, *, now_s: float, limit: int) -> list[Entry]:
        """The next planned entries of the present sheet whose time has come, in planned order.

        Not those of a row that may have been paid under an earlier number after all.
        """
        sql = f"SELECT {ENTRY_COLUMNS} {_SENDABLE}"
        rows = self._all(sql, {"campaign": campaign, "now_s": now_s, "limit": limit})
        return [entry_of(row) for row in rows]

    def candidates(self, campaign: str, *, now_s: float, limit: int) -> list[Claim]:
        """What `sendable` returns, as far as claiming it needs it."""
        sql = f"SELECT mch_billno, re_openid, total_amount, attempts {_SENDABLE}"
        rows = self._all(sql, {"campaign": campaign, "now_s": now_s, "limit": limit})
        return [
            Claim(mch_billno, campaign, re_openid, total_amount, State.PLANNED, attempt)
            for mch_billno, re_openid, total_amount, attempt in rows
        ]

    def due(
        self,
        *,
        campaign: str | None = None,
        now_s: float,
        todo: Todo,
        limit: int,
        states: Collection[State] = OPEN,
    ) -> list[Entry]:
        """The open entries that are due for a question or a repeat, longest due first.

        Nothing of a cancelled campaign is due for a repeat, nor of a row that may have been paid under an
        earlier number after all.
        """
        names = [campaign] if campaign is not None else [c.name for c in self.campaigns()]
        found: list[Entry] = []
        for name in names:
            for state in sorted(OPEN.intersection(states)):
                values = {"campaign": name, "todo": todo, "now_s": now_s, "limit": limit}
                found += map(entry_of, self._all(_DUE[state], values))
        found.sort(key=lambda entry: (entry.due_at_s or 0.0, entry.mch_billno))
        return found[:limit]

    def next_due_s(
        self, campaign: str | None = None, *, planned: bool = True, polls: bool = False
    ) -> float | None:
        """When the program itself has something to do next; None when it has not.

        Entries that already wait for a person are not waited for: flagged ones, parked ones without a
        planned repeat, and what may have been paid under an earlier number after all.

        Args:
            planned: count planned entries that wait for their time.
            polls: count the questions about accepted packets, too.
        """
        todos = {State.IN_DOUBT: tuple(Todo), State.PARKED: (Todo.REPEAT,)}
        if polls:
            todos[State.ACCEPTED] = (Todo.ASK,)
        names = [campaign] if campaign is not None else [c.name for c in self.campaigns()]
        moments: list[float | None] = []
        for name in names:
            for state, whats in todos.items():
                for todo in whats:
                    values = {"campaign": name, "todo": todo}
                    moments += [row[0] for row in self._all(_NEXT_DUE[state], values)]
            if planned:
                sql = f"""
                    SELECT not_before_s FROM entry
                    WHERE campaign = {CAMPAIGN_ID} AND state = 'planned' AND unlisted = 0
                        AND not_before_s > 0 AND {EARLIER_STAND}
                    ORDER BY not_before_s LIMIT 1
                """
                moments += [row[0] for row in self._all(sql, {"campaign": name})]
        return min((moment for moment in moments if moment is not None), default=None)

    def end_repeats(self, campaign: str, *, now_s: float) -> int:
        """Ask about what may not be repeated any more; returns how many.

        That is 72 h after its first request, or once its row may have been paid under an earlier number.
        """
        with self.atomic():
            rows = []
            for state in (State.IN_DOUBT, State.PARKED):
                rows += self._all(
                    f"UPDATE entry SET todo = 'ask', due_at_s = :now_s WHERE campaign = {CAMPAIGN_ID}"
                    f" AND state = '{state}' AND todo = 'repeat'"
                    f" AND (:now_s - first_sent_at_s >= {REPEAT_WINDOW_S} OR NOT {EARLIER_STAND})"
                    " RETURNING seq, mch_billno, state",
                    {"campaign": campaign, "now_s": now_s},
                )
            for seq, mch_billno, state in rows:
                self._append(campaign, seq, mch_billno, now_s, EventKind.WOKEN, State(state), State(state))
            return len(rows)

    def wake(self, campaign: str, *, now_s: float) -> int:
        """An operator's new command: what waits for a person is asked about now, so that a top-up or a
        fix continues, and what a cap of ours put off is looked at again. Returns how many entries.

        The caller holds the campaign's lock, so who still claims to be sending something is dead: that is
        asked about, too, a second from now, since its request may have left only just now. Otherwise
        nothing is woken whose first request is more than 72 h old, nor what has a repeat planned.
        """
        within = f"(first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})"
        ask = "todo = 'ask', due_at_s = :now_s"
        stuck = f"flag = '{Flag.STUCK}'"
        woken = 0
        with self.atomic():
            for state, changes, which in (
                (
                    State.IN_DOUBT,
                    f"todo = 'ask', due_at_s = :now_s + {REPEAT_GAP_S}, owner = NULL, lease_until_s = NULL",
                    "owner IS NOT NULL",
                ),
                (State.IN_DOUBT, f"{ask}, flag = NULL", f"{stuck} AND todo IS NOT 'repeat' AND {within}"),
                (
                    State.PARKED,
                    f"{ask}, flag = CASE WHEN {stuck} THEN NULL ELSE flag END",
                    f"todo IS NOT 'repeat' AND {within}",
                ),
                (
                    State.PLANNED,
                    f"not_before_s = {GAP_OVER}",
                    f"unlisted = 0 AND not_before_s > :now_s AND not_before_s > {GAP_OVER}",
                ),
            ):
                rows = self._all(
                    f"UPDATE entry SET {changes} WHERE campaign = {CAMPAIGN_ID} AND state = '{state}'"
                    f" AND {which} RETURNING seq, mch_billno",
                    {"campaign": campaign, "now_s": now_s},
                )
                for seq, mch_billno in rows:
                    self._append(campaign, seq, mch_billno, now_s, EventKind.WOKEN, state, state)
                woken += len(rows)
        return woken
