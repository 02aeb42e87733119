"""What requests and questions brought: recorded once, applied only to the entry that they are about."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from campaign.domain.answer import Outcome
from campaign.domain.days import DAY_S
from campaign.domain.decision import REPEAT_GAP_S, Step
from campaign.domain.entry import Entry, Tally, Todo
from campaign.domain.state import SETTLED, State, may_move
from campaign.ledger.database import StaleEntry
from campaign.ledger.reading import Reading
from campaign.ledger.records import EventKind, QueryResult, SendResult
from campaign.ledger.rows import FLAG_KEPT, packed

_ACCEPTED_AT_S: Final = (
    "CASE :state WHEN 'accepted' THEN COALESCE(accepted_at_s, :now_s) ELSE accepted_at_s END"
)

# One request's answer counts once, whoever brings it twice.
_END_ATTEMPT: Final = """
    UPDATE attempt SET ended_at_s = :now_s, outcome = :outcome, err_code = :err_code,
        err_code_des = :err_code_des, raw = :raw
    WHERE entry = (SELECT seq FROM entry WHERE mch_billno = :mch_billno) AND n = :n AND ended_at_s IS NULL
    RETURNING entry
"""

_END_SEND: Final = f"""
    UPDATE entry SET
        state = :state, evidence = :evidence, refused = refused + :refused, not_sent = not_sent + :not_sent,
        held = held + :held, last_outcome = :outcome, last_reach = :reach, err_code = :err_code,
        reason = :err_code_des, todo = :todo, due_at_s = :due_at_s,
        not_before_s = CASE :state WHEN 'planned' THEN last_sent_at_s + {REPEAT_GAP_S} ELSE 0 END,
        first_sent_at_s = CASE :state WHEN 'planned' THEN NULL ELSE first_sent_at_s END,
        not_found_at_s = :not_found_at_s, sending_since_s = :sending_since_s,
        accepted_at_s = {_ACCEPTED_AT_S},
        send_listid = CASE :send_listid WHEN '' THEN send_listid ELSE :send_listid END,
        owner = NULL, lease_until_s = NULL, {FLAG_KEPT}
    WHERE seq = :entry AND state = 'in_doubt' AND attempts = :n
    RETURNING seq
"""

# Not opened, not refused: what an earlier refusal said no longer explains anything.
_CLEAN: Final = "'accepted', 'received', 'refunded'"

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
    WHERE seq = :entry AND state = :before AND attempts = :attempts
        AND (last_sent_at_s IS NULL OR last_sent_at_s <= :asked_at_s)
    RETURNING seq
"""


class Outcomes(Reading):
    """Answers, and what they change."""

    def end_sends(self, results: Sequence[SendResult], now_s: float) -> None:
        """Record what the attempts brought.

        An answer applies only while its attempt is the entry's last one and the entry is in doubt;
        otherwise it is kept as evidence and changes nothing.
        """
        with self.atomic():
            for result in results:
                self._end_send(result, now_s)

    def _end_send(self, result: SendResult, now_s: float) -> None:
        entry, answer = result.entry, result.answer
        values = {
            "mch_billno": entry.mch_billno,
            "n": entry.attempt,
            "now_s": now_s,
            "outcome": answer.outcome,
            "reach": answer.reach,
            "err_code": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code,
            "err_code_des": "" if answer.outcome is Outcome.ACCEPTED else answer.err_code_des,
            "send_listid": answer.send_listid,
        }
        detail = {"attempt": entry.attempt, "outcome": answer.outcome, "err_code": answer.err_code}
        step = self._allowed(entry.campaign, result.step, now_s)
        counted = Tally().with_answer(answer)
        before = {
            "refused": counted.refused,
            "not_sent": counted.not_sent,
            "held": counted.held,
            **_step_values(State.IN_DOUBT, step),
        }
        try:
            attempt = {"err_code": answer.err_code, "err_code_des": answer.err_code_des}
            seq = self._guarded(_END_ATTEMPT, values | attempt | {"raw": packed(answer.raw)})[0]
            self._guarded(_END_SEND, values | before | {"entry": seq})
        except StaleEntry:
            self._append(
                entry.campaign,
                self._seq(entry.mch_billno),
                entry.mch_billno,
                now_s,
                EventKind.ANSWERED_LATE,
                None,
                None,
                detail,
            )
            return
        if step.state is State.PLANNED:
            assert entry.tally.attempts == entry.tally.not_sent + counted.not_sent
            self._uncount_days(seq)
        self._append(
            entry.campaign,
            seq,
            entry.mch_billno,
            now_s,
            EventKind.ANSWERED,
            State.IN_DOUBT,
            step.state,
            detail,
        )

    def end_query(self, result: QueryResult, now_s: float) -> Entry | None:
        """Record one answer; see `end_queries`. Returns the entry as it is now, None if nothing changed."""
        return next(iter(self.end_queries([result], now_s)), None)

    def end_queries(self, results: Iterable[QueryResult], now_s: float) -> list[Entry]:
        """Record what the questions brought; returns the entries that were changed, as they are now.

        An answer applies only if no attempt began after the question was sent and the entry is still in
        the state that was asked about; otherwise it is kept as evidence and changes nothing.
        """
        with self.atomic():
            changed = [seq for result in results if (seq := self._end_query(result, now_s))]
            return list(self._entries(changed))

    def _end_query(self, result: QueryResult, now_s: float) -> int | None:
        """The entry's place in the ledger if the answer changed it."""
        entry, answer = result.entry, result.answer
        seq = self._seq(entry.mch_billno)
        assert seq is not None
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
        detail = {"status": answer.status or "", "err_code": answer.err_code}
        if result.step is None:
            return None
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
        try:
            self._guarded(_END_QUERY, values)
        except StaleEntry:
            self._append(
                entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED_LATE, None, None, detail
            )
            return None
        if step.state is State.REJECTED:
            self._uncount_days(seq)
        self._append(
            entry.campaign, seq, entry.mch_billno, now_s, EventKind.ASKED, entry.state, step.state, detail
        )
        return seq

    def _allowed(self, campaign: str, step: Step, now_s: float) -> Step:
        """A cancelled campaign is only asked about: instead of a repeat, one more question a day later."""
        if step.todo is not Todo.REPEAT:
            return step
        sql = "SELECT 1 FROM campaign WHERE name = ? AND cancelled_at_s IS NOT NULL"
        if not self._one(sql, (campaign,)):
            return step
        return Step(
            state=step.state,
            todo=Todo.ASK,
            due_at_s=max(step.due_at_s or now_s, now_s) + DAY_S,
            evidence=step.evidence,
            flag=step.flag,
            not_found_at_s=step.not_found_at_s,
            sending_since_s=step.sending_since_s,
        )

    def _uncount_days(self, seq: int) -> None:
        self._db.execute("DELETE FROM sent_day WHERE entry = ?", (seq,))


def _step_values(before: State, step: Step) -> dict[str, object]:
    assert may_move(before, step.state), f"{before} -> {step.state}"
    return {
        "state": step.state,
        "evidence": step.evidence,
        "flag": step.flag,
        "todo": step.todo,
        "due_at_s": step.due_at_s,
        "not_found_at_s": step.not_found_at_s,
        "sending_since_s": step.sending_since_s,
    }
