"""A verdict says no more than its evidence, and nothing that needs a person stays unsaid."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from campaign.domain.answer import Status
from campaign.domain.campaign import Halt, HaltReason
from campaign.domain.days import DAY_S, HOUR_S
from campaign.domain.entry import Flag, Todo
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import (
    OWNER_TEXT,
    STATE_TEXT,
    VERDICT_TEXT,
    Owner,
    Verdict,
    deadline_s,
    evidence,
    halt_advice,
    needs_person,
    verdict,
)
from campaign.wechat.answers import explain
from tests.report.samples import NOW, SENT, entry


@pytest.mark.parametrize(
    "state, facts, expected",
    [
        (State.RECEIVED, {}, Verdict.CLAIMED),
        (State.ACCEPTED, {}, Verdict.UNCLAIMED),
        (State.ACCEPTED, {"status": ""}, Verdict.UNCLAIMED),
        (State.ACCEPTED, {"status": "RFUND_ING"}, Verdict.UNCLAIMED),
        (State.ACCEPTED, {"status": "SENDING"}, Verdict.UNKNOWN),
        (State.REFUNDED, {}, Verdict.REFUNDED),
        (State.REJECTED, {"evidence": Evidence.DEAD}, Verdict.DEAD),
        (State.REJECTED, {"evidence": Evidence.UNSTORED}, Verdict.NEVER_SENT),
        (State.PLANNED, {}, Verdict.NEVER_SENT),
        (State.CANCELLED, {}, Verdict.NEVER_SENT),
        (State.IN_DOUBT, {}, Verdict.UNKNOWN),
        (State.PARKED, {}, Verdict.UNKNOWN),
    ],
)
def test_each_state_has_the_verdict_that_its_evidence_carries(state, facts, expected):
    assert verdict(entry(state, **facts)) is expected


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PLANNED, State.CANCELLED)])
@pytest.mark.parametrize("flag", [Flag.MISMATCH, Flag.CONTRADICTION])
def test_two_truths_are_no_proof_whatever_the_state(state, flag):
    assert verdict(entry(state, flag=flag)) is Verdict.UNKNOWN


def test_only_failed_is_called_proven_dead():
    """`reissue` gives a new number to the dead, so this word must not be used lightly."""
    for state, proof, flag in product(State, (None, *Evidence), (None, *Flag)):
        if verdict(entry(state, evidence=proof, flag=flag)) is Verdict.DEAD:
            assert (state, proof) == (State.REJECTED, Evidence.DEAD)


def test_every_code_has_words_and_no_two_share_them():
    """The workbook's formulas find rows by these words."""
    for words, codes in ((VERDICT_TEXT, Verdict), (STATE_TEXT, State), (OWNER_TEXT, Owner)):
        assert set(words) == set(codes)
        assert len({str(word) for word in words.values()}) == len(words)


def test_every_entry_that_can_exist_has_a_sentence_of_evidence():
    statuses = ("", *Status)
    for state, proof, status, asked, time in product(
        State, (None, *Evidence), statuses, (None, NOW), ("", "x")
    ):
        sentence = str(
            evidence(
                entry(state, evidence=proof, status=status, asked_at_s=asked, rcv_time=time, refund_time=time)
            )
        )
        assert sentence
        assert "None" not in sentence


def need(state, *, now_s=NOW, **facts):
    return needs_person(entry(state, **facts), now_s=now_s, explain=explain)


def test_of_a_cancelled_campaigns_held_packet_nobody_is_told_to_just_run_it_again():
    held = entry(State.PARKED, first_sent_at_s=NOW - 60)
    advice = {
        cancelled: str(needs_person(held, now_s=NOW, explain=explain, cancelled=cancelled).advice)
        for cancelled in (False, True)
    }
    assert "--reopen" not in advice[False]
    assert "--reopen" in advice[True]
    assert "cancelled" in advice[True]


def test_wechat_pays_own_words_do_not_give_an_openid_away():
    openid = entry(State.PARKED).re_openid
    other = "oOTHER_not_a_person_00000001"
    found = need(State.PARKED, reason=f"{openid} is at risk, as {other} is")
    assert openid not in str(found.reason)
    assert other not in str(found.reason)
    assert "is at risk" in str(found.reason)


@pytest.mark.parametrize(
    "state, facts",
    [
        (State.PLANNED, {}),
        (State.CANCELLED, {}),
        (State.ACCEPTED, {}),
        (State.RECEIVED, {}),
        (State.REFUNDED, {}),
        (State.REFUNDED, {"refund_amount": 0}),  # WeChat Pay did not say how much
        (State.PARKED, {"todo": Todo.REPEAT}),
        (State.IN_DOUBT, {}),
        (State.IN_DOUBT, {"todo": Todo.REPEAT}),
        (State.IN_DOUBT, {"first_sent_at_s": None, "last_sent_at_s": None}),
    ],
)
def test_what_the_program_settles_by_itself_needs_nobody(state, facts):
    assert need(state, **facts) is None


@pytest.mark.parametrize(
    "state, facts, owner, words",
    [
        (State.REJECTED, {"err_code": "OPENID_ERROR"}, Owner.OPERATOR, "openid"),
        (State.REJECTED, {"evidence": Evidence.DEAD, "err_code": ""}, Owner.OPERATOR, "reissue lantern"),
        (State.REJECTED, {"evidence": Evidence.DEAD, "reason": "余额不足"}, Owner.OPERATOR, "余额不足"),
        (State.PARKED, {"err_code": "NOTENOUGH"}, Owner.FINANCE, "2026-03-06 20:00:00"),
        (State.PARKED, {"err_code": "NO_AUTH"}, Owner.OPERATOR, "active WeChat account; many rows"),
        (State.PARKED, {"todo": None}, Owner.OPERATOR, "holds this packet"),
        (State.IN_DOUBT, {"todo": None}, Owner.OPERATOR, "reconcile lantern"),
        (State.IN_DOUBT, {"flag": Flag.STUCK}, Owner.OPERATOR, "do not pay this row in any other way"),
        (State.RECEIVED, {"flag": Flag.CONTRADICTION}, Owner.FINANCE, "contradicts"),
        (State.ACCEPTED, {"flag": Flag.OTHER_ID, "detail_id": "1", "send_listid": "2"}, Owner.FINANCE, "1"),
        (State.IN_DOUBT, {"flag": Flag.MISMATCH}, Owner.ENGINEER, "another order"),
        (State.REFUNDED, {"refund_amount": 100}, Owner.FINANCE, "1.88 yuan were sent, and 1.00"),
    ],
)
def test_each_problem_names_its_owner_and_what_helps(state, facts, owner, words):
    found = need(state, **facts)
    assert found is not None
    assert found.owner is owner
    assert words in f"{found.reason} / {found.advice}"


@pytest.mark.parametrize("issued_again", [False, True])
def test_who_may_have_been_paid_twice_is_told_so(issued_again):
    """A dead packet is nobody's business once its row has another number; unless it was paid after all."""
    dead = entry(State.REJECTED, evidence=Evidence.DEAD, status="SENT")
    found = needs_person(dead, now_s=NOW, explain=explain, issued_again=issued_again)
    assert (found is None) is issued_again
    contradicted = replace(dead, flag=Flag.CONTRADICTION)
    found = needs_person(contradicted, now_s=NOW, explain=explain, issued_again=issued_again)
    assert "MAY HAVE BEEN PAID AFTER ALL" in str(found.reason)
    assert ("got another number" in str(found.reason)) is issued_again


def test_a_doubt_needs_a_person_when_no_repeat_is_allowed_any_more():
    assert need(State.IN_DOUBT, now_s=SENT + 72 * HOUR_S - 1) is None
    assert need(State.IN_DOUBT, now_s=SENT + 72 * HOUR_S) is not None


def test_a_parked_packet_can_be_sent_again_until_its_third_day_ends():
    before = need(State.PARKED, now_s=SENT + 72 * HOUR_S - 1)
    after = need(State.PARKED, now_s=SENT + 72 * HOUR_S)
    assert before.until_s == SENT + 72 * HOUR_S
    assert after.until_s is None
    assert "too late" in str(after.advice)


@pytest.mark.parametrize(
    "age_days, words", [(25, "before 2026-04-02 20:00:00"), (29.9, "before"), (30, "no more questions")]
)
def test_an_unopened_packet_needs_a_person_from_day_25_on(age_days, words):
    assert need(State.ACCEPTED, now_s=SENT + 25 * DAY_S - 1) is None
    assert words in str(need(State.ACCEPTED, now_s=SENT + age_days * DAY_S).advice)


@pytest.mark.parametrize(
    "state, hours", [(State.ACCEPTED, 24), (State.PARKED, 72), (State.IN_DOUBT, 72), (State.RECEIVED, None)]
)
def test_opening_and_repeating_run_out(state, hours):
    assert deadline_s(entry(state)) == (hours and SENT + hours * HOUR_S)


def test_whatever_is_not_settled_after_thirty_days_needs_a_person():
    """Nothing is lost silently: no combination of facts hides an open entry for ever."""
    for state, todo in product((State.ACCEPTED, State.IN_DOUBT, State.PARKED), (None, Todo.ASK)):
        assert need(state, todo=todo, now_s=SENT + 31 * DAY_S) is not None


@pytest.mark.parametrize("reason", HaltReason)
@pytest.mark.parametrize("code", ["", "NOTENOUGH", "SIGN_ERROR", "NEVER_HEARD_OF"])
@pytest.mark.parametrize("until_s", [None, NOW])
def test_every_halt_says_what_to_do(reason, code, until_s):
    halt = Halt(reason=reason, err_code=code, until_s=until_s, missing_fen=123_456)
    sentence = str(halt_advice(halt, explain))
    assert sentence.endswith(".")
    assert "None" not in sentence
    assert any(word in sentence for word in ("run", "Next step", "engineer"))


def test_a_cancelled_campaign_is_not_to_be_run_again():
    sentence = str(halt_advice(Halt(reason=HaltReason.WAITING, until_s=NOW, cancelled=True), explain))
    assert "campaign reconcile" in sentence
    assert "same command" not in sentence


def test_the_empty_balance_names_account_and_amount():
    sentence = str(halt_advice(Halt(reason=HaltReason.BALANCE, missing_fen=123_456), explain))
    assert "运营账户" in sentence
    assert "1,234.56 yuan" in sentence
