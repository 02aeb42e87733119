"""What the ledger tells: entries and their history, sums, and what needs a person."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from campaign.domain.answer import Outcome, Status
from campaign.domain.deadline import Aged, Since, Window
from campaign.domain.decision import REPEAT_WINDOW_S
from campaign.domain.entry import Entry
from campaign.domain.state import State
from campaign.domain.verdict import WARN_S
from campaign.ledger.chain import ANSWERS, NUMBERS, PLANNED_EVENT, TOLD_OF, Chain, answers_digest
from campaign.ledger.records import Attempt, Question, SentPacket
from campaign.ledger.rows import (
    CAMPAIGN_ID,
    ENTRY_COLUMNS,
    STATES,
    Row,
    entry_of,
    unpacked,
    unpacked_together,
)
from campaign.ledger.schema import PARTLY_REFUNDED

#: Rows and fen of each state in a campaign without entries.
_NO_ROWS: Final = dict.fromkeys(State, (0, 0))

_SENT_PACKETS: Final = f"""
    SELECT {ENTRY_COLUMNS}, seq,
        (SELECT at_s {PLANNED_EVENT}),
        COALESCE((SELECT at_s FROM {TOLD_OF} ORDER BY seq DESC LIMIT 1),
                 (SELECT at_s {PLANNED_EVENT}))
    FROM entry
"""
#: The answers that came to requests of these entries, oldest first.
_BODIES: Final = """
    SELECT mch_billno, raw, detail, answers
    FROM json_each(:seqs) AS wanted JOIN entry ON entry.seq = wanted.value
        JOIN attempt ON attempt.entry = entry.seq LEFT JOIN event ON event.seq = ended_event
    ORDER BY entry.seq, n
"""

#: The highest number of each row that was, or may be, paid under a later number than its first.
_PAID_AGAIN: Final = """
    LEFT JOIN (
        SELECT campaign AS of_campaign, row_key AS of_row, MAX(issue) AS last_issue FROM entry
        WHERE issue > 1 AND state NOT IN ('rejected', 'cancelled') GROUP BY campaign, row_key
    ) ON of_campaign = campaign AND of_row = row_key
"""

_UNCLAIMED: Final = """
    AND (state = 'accepted' AND accepted_at_s <= :unclaimed_since_s
         OR state = 'refunded' AND issue >= COALESCE(last_issue, 0))
"""


#: The campaigns whose kept sums are not those of their rows.
_MISCOUNTED: Final = """
    WITH counted AS MATERIALIZED (
        SELECT campaign, state, COUNT(*), SUM(total_amount) FROM entry GROUP BY campaign, state
    ), kept AS (SELECT campaign, state, rows, fen FROM total WHERE rows <> 0 OR fen <> 0)
    SELECT name FROM campaign WHERE id IN (
        SELECT campaign FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
        UNION SELECT campaign FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)
    ) ORDER BY id
"""

#: The Beijing days whose kept sums, of the merchant or of a person, are not those of the requests that left.
_MISCOUNTED_DAYS: Final = """
    WITH counted AS MATERIALIZED (
        SELECT day, re_openid, COUNT(*), SUM(total_amount) FROM sent_day GROUP BY day, re_openid
        UNION ALL SELECT day, '', COUNT(*), SUM(total_amount) FROM sent_day GROUP BY day
    ), kept AS (
        SELECT day, re_openid, packets, fen FROM person_day WHERE packets <> 0 OR fen <> 0
        UNION ALL SELECT day, '', packets, fen FROM merchant_day WHERE packets <> 0 OR fen <> 0
    )
    SELECT day FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
    UNION SELECT day FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) ORDER BY day
"""


class Reading(Chain):
    """Reads; changes nothing."""

    def entry(self, mch_billno: str) -> Entry | None:
        """The entry of that number."""
        row = self._one(f"SELECT {ENTRY_COLUMNS} FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else entry_of(row)

    def entries(self, campaign: str, *, states: Collection[State] | None = None) -> Iterator[Entry]:
        """The campaign's entries, in sheet order."""
        named = ", ".join(f"'{state}'" for state in sorted(State if states is None else states))
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry INDEXED BY entry_sheet
            WHERE campaign = {CAMPAIGN_ID} AND state IN ({named}) ORDER BY sheet, row
        """
        return self._each(entry_of, sql, {"campaign": campaign})

    def rested_on(self, campaign: str) -> list[Entry]:
        """The settled entries on which a later number of their row rests that may still be sent."""
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry
            WHERE campaign = {CAMPAIGN_ID} AND state IN ('rejected', 'refunded') AND row_key IN (
                SELECT row_key FROM entry WHERE campaign = {CAMPAIGN_ID}
                    AND issue > 1 AND state IN ('planned', 'in_doubt', 'parked'))
        """
        return list(self._each(entry_of, sql, {"campaign": campaign}))

    def sent_packets(
        self,
        *,
        limit: int,
        offset: int = 0,
        campaign: str | None = None,
        unclaimed_since_s: float | None = None,
    ) -> list[SentPacket]:
        """A page of what was sent, or may have been, in the order of sending.

        Args:
            campaign: only its entries; by default those of all campaigns.
            unclaimed_since_s: only packets that nobody opened: taken before this moment and still waiting,
                or gone back and not paid again under a later number.
        """
        sql = f"{_SENT_PACKETS} {_sent(campaign, unclaimed_since_s)} ORDER BY seq LIMIT :limit OFFSET :offset"
        values = {"campaign": campaign, "unclaimed_since_s": unclaimed_since_s}
        return self._packets(self._rows(sql, values | {"limit": limit, "offset": offset}))

    def count_sent_packets(
        self, *, campaign: str | None = None, unclaimed_since_s: float | None = None
    ) -> int:
        """How many there are on all pages of `sent_packets`."""
        counted = "SUM(rows) FROM total" if unclaimed_since_s is None else "COUNT(*) FROM entry"
        row = self._one(
            f"SELECT {counted} {_sent(campaign, unclaimed_since_s)}",
            {"campaign": campaign, "unclaimed_since_s": unclaimed_since_s},
        )
        return (row and row[0]) or 0

    def sent_packet(self, *, mch_billno: str | None = None, id: int | None = None) -> SentPacket | None:  # noqa: A002
        """The packet of that number, or at that place, sent or not."""
        sql = f"{_SENT_PACKETS} WHERE mch_billno = :mch_billno OR seq = :id"
        return next(iter(self._packets(self._rows(sql, {"mch_billno": mch_billno, "id": id}))), None)

    def _packets(self, found: Iterable[Row]) -> list[SentPacket]:
        """From `_SENT_PACKETS`, with their newest answers."""
        rows = list(found)
        answered = self._rows(_BODIES, {"seqs": json.dumps([row[-3] for row in rows])})
        bodies = {number: body for number, *kept in answered if (body := _body(number, *kept)) != b""}
        return [
            SentPacket(
                id=row[-3],
                entry=entry_of(row),
                created_at_s=row[-2],
                updated_at_s=row[-1],
                raw=bodies.get(row[0], b""),
            )
            for row in rows
        ]

    def numbers(self, *, but: str) -> Iterator[tuple[str, str, str]]:
        """``mch_billno``, ``send_listid`` and ``detail_id`` of every entry of all other campaigns."""
        sql = f"""
            SELECT mch_billno, send_listid, detail_id FROM entry WHERE campaign IS NOT {CAMPAIGN_ID}
        """
        return self._each(lambda row: (row[0], row[1], row[2]), sql, {"campaign": but})

    def attempts(self, mch_billno: str) -> list[Attempt]:
        """The requests sent under a number, oldest first."""
        rows = self._rows(
            "SELECT n, begun_at_s, ended_at_s, outcome, err_code, err_code_des, raw, detail, answers"
            " FROM attempt LEFT JOIN event ON event.seq = ended_event"
            " WHERE attempt.entry = (SELECT seq FROM entry WHERE mch_billno = ?) ORDER BY n",
            (mch_billno,),
        )
        return [
            Attempt(
                n=row[0],
                begun_at_s=row[1],
                ended_at_s=row[2],
                outcome=None if row[3] is None else Outcome(row[3]),
                err_code=row[4],
                err_code_des=row[5],
                raw=_body(mch_billno, *row[6:]),
            )
            for row in rows
        ]

    def questions(self, mch_billno: str) -> list[Question]:
        """The questions asked about a number, oldest first."""
        rows = self._all(
            "SELECT asked_at_s, answered_at_s, status, err_code, err_code_des, raw FROM question"
            " WHERE entry = (SELECT seq FROM entry WHERE mch_billno = ?) ORDER BY id",
            (mch_billno,),
        )
        return [
            Question(
                asked_at_s=row[0],
                answered_at_s=row[1],
                status=None if row[2] is None else Status(row[2]),
                err_code=row[3],
                err_code_des=row[4],
                raw=_body(mch_billno, row[5]),
            )
            for row in rows
        ]

    def needs_person(self, campaign: str, now_s: float) -> Iterator[Entry]:
        """Entries that the program itself does not bring to an end, in sheet order.

        Rejected; held by WeChat Pay without a planned repeat; in doubt with nothing more to try, or for so
        long that it is only asked about; flagged; come back only in part; and accepted for so long that soon
        nobody can ask any more.
        """
        of_campaign = f"SELECT seq FROM entry WHERE campaign = {CAMPAIGN_ID} AND "
        sql = f"""
            SELECT {ENTRY_COLUMNS} FROM entry WHERE seq IN (
                {of_campaign} state = 'rejected'
                UNION {of_campaign} state = 'parked' AND todo IS NOT 'repeat'
                UNION {of_campaign} state = 'in_doubt' AND (todo IS NULL OR first_sent_at_s <= :late_s)
                UNION {of_campaign} flag IS NOT NULL
                UNION {of_campaign} {PARTLY_REFUNDED}
                UNION {of_campaign} state = 'accepted' AND accepted_at_s <= :old_s
            ) ORDER BY sheet, row
        """
        values = {"campaign": campaign, "late_s": now_s - REPEAT_WINDOW_S, "old_s": now_s - WARN_S}
        return self._each(entry_of, sql, values)

    # Sums

    def totals(self, campaign: str) -> dict[State, tuple[int, int]]:
        """Rows and fen of every state; instant, however many entries there are."""
        found = self._all(
            f"SELECT state, rows, fen FROM total WHERE campaign = {CAMPAIGN_ID}", {"campaign": campaign}
        )
        return _NO_ROWS | {STATES[state]: (rows, fen) for state, rows, fen in found}

    def miscounted(self) -> Iterator[str]:
        """The campaigns whose `totals`, which budgets go by, are not the sums of their rows. None, if all
        is well.
        """
        for row in self._rows(_MISCOUNTED):
            yield row[0]

    def miscounted_days(self) -> Iterator[date]:
        """The Beijing days whose sums, which daily limits go by, are not those of the requests that left."""
        for row in self._rows(_MISCOUNTED_DAYS):
            yield date.fromisoformat(row[0])

    def aged(self, campaign: str, window: Window, after_s: float, until_s: float) -> Aged:
        """Rows, fen and the oldest moment of the entries in a window that began in (after, until]."""
        totals = self.totals(campaign)
        found = [
            self._aged(campaign, state, window.since, after_s, until_s, whole=totals[state])
            for state in sorted(window.states)
            if totals[state][0]
        ]
        oldest = min((since_s for _, _, since_s in found if since_s is not None), default=None)
        return sum(rows for rows, _, _ in found), sum(fen for _, fen, _ in found), oldest

    def _aged(
        self,
        campaign: str,
        state: State,
        since: Since,
        after_s: float,
        until_s: float,
        *,
        whole: tuple[int, int],
    ) -> Aged:
        """The same for one state, of which ``whole`` are all rows and fen."""
        moment = "first_sent_at_s" if since is Since.SENT else "COALESCE(accepted_at_s, first_sent_at_s)"
        values = {"campaign": campaign, "after_s": after_s, "until_s": until_s}
        of_state = f"FROM entry WHERE campaign = {CAMPAIGN_ID} AND state = '{state}'"
        if state is State.ACCEPTED and since is Since.TAKEN:
            moment = "accepted_at_s"  # it has one, and an index, by whose ends most windows are judged
            row = self._one(
                f"SELECT (SELECT MIN({moment}) {of_state}), (SELECT MAX({moment}) {of_state})", values
            )
            if row and row[0] is not None and after_s < row[0] and row[1] <= until_s:
                return *whole, row[0]
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(total_amount), 0), MIN({moment}) {of_state}"
            f" AND {moment} > :after_s AND {moment} <= :until_s",
            values,
        )
        assert row is not None
        return row[0], row[1], row[2]

    # For those who change something

    def _entries(self, seqs: Sequence[int]) -> tuple[Entry, ...]:
        """The entries at these places, in this order."""
        sql = f"SELECT {ENTRY_COLUMNS}, seq FROM entry WHERE seq IN (SELECT value FROM json_each(?))"
        found = {row[-1]: entry_of(row) for row in self._all(sql, (json.dumps(seqs),))}
        return tuple(found[seq] for seq in seqs)

    def _seqs(self, mch_billnos: Iterable[str]) -> dict[str, int]:
        """The places of the entries of these numbers; numbers that the ledger does not have are left out."""
        sql = "SELECT mch_billno, seq FROM entry WHERE mch_billno IN (SELECT value FROM json_each(?))"
        rows = self._all(sql, (json.dumps(list(mch_billnos)),))
        return {row[0]: row[1] for row in rows}

    def _seq(self, mch_billno: str) -> int | None:
        row = self._one("SELECT seq FROM entry WHERE mch_billno = ?", (mch_billno,))
        return None if row is None else int(row[0])


def _sent(campaign: str | None, unclaimed_since_s: float | None) -> str:
    """The condition for what was sent, or may have been; ``total`` can be asked by it, too."""
    # The plus keeps SQLite from using an index: it would have to sort the whole campaign for each page.
    of_campaign = "" if campaign is None else f" AND +campaign = {CAMPAIGN_ID}"
    sent = f"WHERE state NOT IN ('planned', 'cancelled'){of_campaign}"
    return sent if unclaimed_since_s is None else f"{_PAID_AGAIN} {sent} {_UNCLAIMED}"


def _body(
    mch_billno: str, raw: bytes, facts: str | None = None, answers: bytes | None = None
) -> bytes | None:
    """An answer's body: kept by itself, or by the event that tells of several. None: it was altered."""
    try:
        if facts is None or answers is None:
            return unpacked(raw)
        return _bodies(facts, answers).get(mch_billno, b"")
    except (ValueError, LookupError, TypeError, zlib.error):
        return None


@lru_cache(maxsize=16)
def _bodies(facts: str, answers: bytes) -> dict[str, bytes]:
    """Neighbours in the ledger were mostly answered together: number -> body."""
    told = json.loads(facts)
    if told[ANSWERS] != answers_digest(answers):
        raise ValueError("they are not those that came")
    return dict(zip(told[NUMBERS], unpacked_together(answers), strict=True))
