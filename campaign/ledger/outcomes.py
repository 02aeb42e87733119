"""What requests and questions brought: recorded once, applied only to the entry that they are about."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final

from campaign.domain.answer import Outcome, QueryAnswer
from campaign.domain.days import DAY_S, beijing_days
from campaign.domain.decision import REPEAT_GAP_S, Step
from campaign.domain.entry import Entry, Flag, Tally, Todo
from campaign.domain.state import SETTLED, State, may_move
from campaign.ledger.reading import Reading
from campaign.ledger.records import EventKind, QueryResult, SendResult
from campaign.ledger.rows import FLAG_KEPT, detail_json, packed, packed_together

_ACCEPTED_AT_S: Final = (
    "CASE :state WHEN 'accepted' THEN COALESCE(accepted_at_s, :now_s) ELSE accepted_at_s END"
)

_END_ATTEMPTS: Final = """
    UPDATE attempt SET ended_at_s = :now_s, outcome = :outcome, err_code = :err_code,
        err_code_des = :err_code_des, raw = :raw, ended_event = :event
    WHERE entry IN (SELECT value FROM json_each(:entries)) AND n = :n AND ended_at_s IS NULL
"""

# One statement for all answers that say the same, as most do. One request's answer counts once, whoever
# brings it twice.
_END_SEND: Final = f"""
    UPDATE entry SET
        state = :state, evidence = :evidence, refused = refused + :refused, not_sent = not_sent + :not_sent,
        held = held + :held, last_outcome = :outcome, last_reach = :reach, err_code = :err_code,
        reason = :err_code_des, todo = :todo, due_at_s = :due_at_s,
        not_before_s = CASE :state WHEN 'planned' THEN last_sent_at_s + {REPEAT_GAP_S} ELSE 0 END,
        first_sent_at_s = CASE :state WHEN 'planned' THEN NULL ELSE first_sent_at_s END,
        not_found_at_s = :not_found_at_s, sending_since_s = :sending_since_s,
        accepted_at_s = {_ACCEPTED_AT_S},
        send_listid = CASE answered.value WHEN '' THEN send_listid ELSE answered.value END,
        owner = NULL, lease_until_s = NULL, {FLAG_KEPT}
    FROM json_each(:answered) AS answered
    WHERE mch_billno = answered.key AND state = 'in_doubt' AND attempts = :n
        AND EXISTS (SELECT 1 FROM attempt WHERE entry = seq AND n = :n AND ended_at_s IS NULL)
    RETURNING mch_billno, seq
"""

# Not opened, not refused: what an earlier refusal said no longer explains anything.
_CLEAN: Final = "'accepted', 'received', 'refunded'"

# The plus: as in `sends`.
_END_QUERY: Final = f"""
    UPDATE entry SET
        state = :state, evidence = :evidence, todo = :todo, due_at_s = :due_at_s,
        not_found_at_s = :not_found_at_s, sending_since_s = :sending_since_s, asked_at_s = :asked_at_s,
        accepted_at_s = {_ACCEPTED_AT_S},
        settled_at_s = CASE WHEN :settled THEN :now_s ELSE NULL END,
        err_code = CASE WHEN :state IN ({_CLEAN}) AND :status <> '' THEN ''
                        WHEN err_code = '' THEN :err_code ELSE err_code END,
        reason = CASE WHEN :reason <> '' THEN :reason
                      WHEN :state IN ({_CLEAN}) AND :status <> '' THEN '' ELSE reason END,
        status = CASE :status WHEN '' THEN status ELSE :status END,
        detail_id = CASE :detail_id WHEN '' THEN detail_id ELSE :detail_id END,
        rcv_time = CASE :rcv_time WHEN '' THEN rcv_time ELSE :rcv_time END,
        refund_time = CASE :refund_time WHEN '' THEN refund_time ELSE :refund_time END,
        refund_amount = COALESCE(:refund_amount, refund_amount), {FLAG_KEPT}
    WHERE seq = :entry AND +state = :before AND attempts = :attempts
        AND (last_sent_at_s IS NULL OR last_sent_at_s <= :asked_at_s)
"""

_FLAG_SETTLED: Final = f"""
    UPDATE entry SET status = :status, asked_at_s = :asked_at_s, {FLAG_KEPT}
    WHERE mch_billno = :mch_billno AND state = :state AND attempts = :attempts AND flag IS NOT :flag
    RETURNING seq
"""


class Outcomes(Reading):
    """Answers, and what they change."""

    def end_sends(self, results: Sequence[SendResult], now_s: float) -> None:
        """Record what the attempts brought.

        An answer applies only while its attempt is the entry's last one, has no answer yet, and the entry is
        in doubt; otherwise it changes nothing. The first answer of each attempt is kept as evidence.
        """
        with self.atomic():
            seen: set[tuple[str, int]] = set()
            late: list[SendResult] = []
            alike: dict[tuple[object, ...], list[SendResult]] = defaultdict(list)
            for result in results:
                attempt = result.entry.mch_billno, result.entry.attempt
                (late if attempt in seen else alike[_what_it_says(result)]).append(result)
                seen.add(attempt)
            for group in alike.values():
                late += self._end_alike(group, now_s)
            for result in late:
                self._end_late(result, now_s)

    def _end_alike(self, results: Sequence[SendResult], now_s: float) -> list[SendResult]:
        """Apply answers that say the same; returns those that came too late to change anything."""
        one = results[0]
        campaign, attempt, answer = one.entry.campaign, one.entry.attempt, one.answer
        step = self._allowed(campaign, one.step, now_s)
        counted = Tally().with_answer(answer)
        values = {
            "answered": json.dumps({r.entry.mch_billno: r.answer.send_listid for r in results}),
            "n": attempt,
            "now_s": now_s,
            "outcome": answer.outcome,
            "reach": answer.reach,
            "err_code": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code,
            "err_code_des": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code_des,
            "refused": counted.refused,
            "not_sent": counted.not_sent,
            "held": counted.held,
            **_step_values(State.IN_DOUBT, step),
        }
        moved: dict[str, int] = {row[0]: row[1] for row in self._all(_END_SEND, values)}
        if moved:
            applied = [result for result in results if result.entry.mch_billno in moved]
            if step.state is State.PLANNED:
                assert answer.outcome is Outcome.NOT_SENT
                assert all(result.entry.tally.not_sent == attempt - 1 for result in applied)
                for seq in moved.values():
                    self._uncount_days(seq)
            event = self._append_for_all(
                campaign,
                [result.entry.mch_billno for result in applied],
                now_s,
                EventKind.ANSWERED,
                State.IN_DOUBT,
                step.state,
                _facts(one),
                packed_together([result.answer.raw for result in applied]),
            )
            self._end_attempts(moved.values(), one, now_s, event=event)
        return [result for result in results if result.entry.mch_billno not in moved]

    def _end_late(self, result: SendResult, now_s: float) -> None:
        entry = result.entry
        seq = self._seq(entry.mch_billno)
        assert seq is not None, "what was sent is in the ledger"
        self._end_attempts([seq], result, now_s, raw=packed(result.answer.raw))
        facts = detail_json(_facts(result))
        self._append(entry.campaign, seq, entry.mch_billno, now_s, EventKind.ANSWERED_LATE, None, None, facts)

    def _end_attempts(
        self,
        seqs: Collection[int],
        result: SendResult,
        now_s: float,
        *,
        event: int | None = None,
        raw: bytes = b"",
    ) -> None:
        """Keep an answer with the attempts that it is about and that have none yet.

        Args:
            event: the event that tells of them and has the bodies; without it ``raw`` is the body, packed.
        """
        answer = result.answer
        values = {
            "entries": json.dumps(list(seqs)),
            "n": result.entry.attempt,
            "now_s": now_s,
            "outcome": answer.outcome,
            "err_code": answer.err_code,
            "err_code_des": answer.err_code_des,
            "raw": raw,
            "event": event,
        }
        self._db.execute(_END_ATTEMPTS, values)

    def end_query(self, result: QueryResult, now_s: float) -> Entry | None:
        """Record one answer; see `end_queries`. Returns the entry as it is now, None if nothing changed."""
        return next(iter(self.end_queries([result], now_s)), None)

    def end_queries(self, results: Sequence[QueryResult], now_s: float) -> list[Entry]:
        """Record what the questions brought; returns the entries that were changed, as they are now.

        An answer applies only if no attempt began after the question was sent and the entry is still in
        the state that was asked about; otherwise it is kept as evidence and changes nothing.
        """
        with self.atomic():
            seqs = self._seqs(result.entry.mch_billno for result in results)
            answered = ((seqs[result.entry.mch_billno], result) for result in results)
            return list(self._entries([seq for seq, r in answered if self._end_query(seq, r, now_s)]))

    def _end_query(self, seq: int, result: QueryResult, now_s: float) -> bool:
        """Whether the answer changed the entry."""
        entry, answer = result.entry, result.answer
        self._db.execute(
            "INSERT INTO question (entry, asked_at_s, answered_at_s, status, err_code, err_code_des, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                result.asked_at_s,
                now_s,
                answer.status,
                answer.err_code,
                answer.err_code_des,
                packed(answer.raw),
            ),
        )
        facts = detail_json({"status": answer.status or "", "err_code": answer.err_code})
        if result.step is None:
            return False
        step = self._allowed(entry.campaign, result.step, now_s)
        values = {
            "entry": seq,
            "before": entry.state,
            "attempts": entry.attempt,
            "asked_at_s": result.asked_at_s,
            "now_s": now_s,
            "settled": step.state in SETTLED,
            "status": answer.status or "",
            "err_code": "" if answer.status else answer.err_code,
            "reason": answer.reason,
            "detail_id": answer.detail_id,
            "rcv_time": answer.claims[0].rcv_time if answer.claims else "",
            "refund_time": answer.refund_time,
            "refund_amount": answer.refund_amount,
            **_step_values(entry.state, step),
        }
        if not self._moved(_END_QUERY, values):
            self._append(
                entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED_LATE, None, None, facts
            )
            return False
        if step.state is State.REJECTED:
            self._uncount_days(seq)
        self._append(
            entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED, entry.state, step.state, facts
        )
        return True

    def flag_settled(
        self, entry: Entry, flag: Flag, answer: QueryAnswer, *, asked_at_s: float, now_s: float
    ) -> None:
        """An answer contradicts what was settled: the state stays, and a person has to look.

        A later number of the row rests on what was settled. It is not sent any more (`EARLIER_STAND`), and
        the next run of its sheet has to plan, and says why. Against the caps this one counts again.
        """
        values = {
            "mch_billno": entry.mch_billno,
            "state": entry.state,
            "attempts": entry.attempt,
            "flag": flag,
            "status": answer.status,
            "asked_at_s": asked_at_s,
        }
        with self.atomic():
            row = self._one(_FLAG_SETTLED, values)
            if row:  # else somebody corrected the row meanwhile, or it was flagged before
                facts = detail_json({"flag": flag, "status": answer.status or ""})
                self._append(
                    entry.campaign,
                    row[0],
                    entry.mch_billno,
                    now_s,
                    EventKind.FLAGGED,
                    entry.state,
                    entry.state,
                    facts,
                )
                self._db.execute("UPDATE campaign SET plan_digest = '' WHERE name = ?", (entry.campaign,))
                self._count_days_again(row[0])

    def _allowed(self, campaign: str, step: Step, now_s: float) -> Step:
        """A cancelled campaign is only asked about: instead of a repeat, one more question a day later."""
        if step.todo is not Todo.REPEAT:
            return step
        sql = "SELECT 1 FROM campaign WHERE name = ? AND cancelled_at_s IS NOT NULL"
        if not self._one(sql, (campaign,)):
            return step
        return step._replace(todo=Todo.ASK, due_at_s=max(step.due_at_s or now_s, now_s) + DAY_S)

    def _uncount_days(self, seq: int) -> None:
        self._db.execute("DELETE FROM sent_day WHERE entry = ?", (seq,))

    def _count_days_again(self, seq: int) -> None:
        """It may have been paid after all: on each Beijing day on which a request for it left."""
        sql = f"SELECT begun_at_s FROM attempt WHERE entry = ? AND outcome IS NOT '{Outcome.NOT_SENT}'"
        days = {day.isoformat() for (at_s,) in self._all(sql, (seq,)) for day in beijing_days(at_s)}
        self._db.executemany(
            "INSERT OR IGNORE INTO sent_day (entry, day, re_openid, total_amount)"
            " SELECT seq, ?, re_openid, total_amount FROM entry WHERE seq = ?",
            [(day, seq) for day in sorted(days)],
        )


def _what_it_says(result: SendResult) -> tuple[object, ...]:
    """All that one statement needs to know of an answer, but for its own numbers."""
    answer = result.answer
    return (
        result.entry.campaign,
        result.entry.attempt,
        answer.outcome,
        answer.reach,
        answer.err_code,
        answer.err_code_des,
        result.step,
    )


def _facts(result: SendResult) -> dict[str, object]:
    """What the event of an answer tells."""
    answer = result.answer
    return {"attempt": result.entry.attempt, "outcome": answer.outcome, "err_code": answer.err_code}


def _step_values(before: State, step: Step) -> dict[str, object]:
    assert may_move(before, step.state), f"{before} -> {step.state}"
    return step._asdict()
