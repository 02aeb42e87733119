"""A second number is given only on WeChat Pay's own word of this moment, and never pays anybody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from campaign.domain.answer import QueryAnswer, Status
from campaign.domain.entry import Entry, Flag, Todo
from campaign.domain.finding import debit_unexpected, refund_unexpected
from campaign.domain.order import PacketOrder
from campaign.domain.state import State
from campaign.domain.verdict import Need, Verdict, verdict
from campaign.errors import PlanConflict, SetupError
from campaign.rehearsal.rules import RehearsalMerchant
from campaign.sheet import Reading, ReadOptions, read_sheet
from campaign.sheet.write import write_tied_sheet
from campaign.stages.plan import SheetFacts, draft, plan
from campaign.stages.records import ask_status, find_packet
from campaign.stages.reissue import Reissue, candidates, reissue, tied_rows
from campaign.stages.send import send
from campaign.stages.standing import standing
from tests.domain.bills import line
from tests.simulation.machine import API_KEY, DAY_S, DEFAULTS, MCH_ID, WXAPPID, Machine, orders

#: With an id column, so that openids can be corrected.
SHEET = orders("1 oA 1.88", "2 oB 8.88", "3 oC 3.00", keys="id")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(Random(7)) as made:
        yield made


@pytest.fixture
def ask(machine: Machine) -> Callable[..., Reissue]:
    """``campaign reissue``, without its file."""

    def go(*, refunded: bool = False) -> Reissue:
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            found = candidates(ledger, machine.campaign, mch_id=MCH_ID, refunded=refunded)
            return reissue(desk, found, refunded=refunded)

    return go


@pytest.fixture
def sheet_of(tmp_path: Path) -> Callable[[Reissue], Reading]:
    """The sheet that is written, read back as `run` reads it."""

    def write(result: Reissue) -> Reading:
        path = tmp_path / "lantern-reissue.xlsx"
        rows = tied_rows(result.rows)
        write_tied_sheet(
            path, rows, sheet="reissue", mch_id=MCH_ID, own_headers=(), columns={}, warning="", ids=True
        )
        reading = read_sheet(path, ReadOptions(mch_id=MCH_ID, defaults=DEFAULTS))
        assert reading.problems == ()
        return reading

    return write


def die(machine: Machine, *openids: str) -> None:
    """Run the sheet; these people's packets are FAILED at once, everybody else's are paid."""
    machine.faults(send_failed={"openids": list(openids)})
    machine.run(SHEET, keys="id")
    machine.faults()


def run_tied(machine: Machine, reading: Reading, **changes: object) -> None:
    sheet: list[PacketOrder] = [replace(order, **changes) for order in reading.orders]  # type: ignore[arg-type]
    machine.run(sheet, keys=reading.key_column, partial=True)


def pay_after_all(machine: Machine) -> str:
    """WeChat Pay pays the one packet that it had called failed; its number."""
    [number] = [n for n, entry in machine.entries().items() if entry.state is State.REJECTED]
    order = machine.books.order(number)
    assert order is not None
    now_s = machine.clock.true_s()
    machine.books.pay(order._replace(failed_s=None, paid_s=now_s, sent_s=now_s))
    return number


def look_up(machine: Machine, number: str) -> None:
    """``campaign records status``: somebody was told of a packet that the ledger calls failed."""
    with machine.ledger() as ledger, machine.desk(ledger) as desk:
        ask_status(desk, find_packet(ledger, number))


def times_paid(machine: Machine) -> Counter[str]:
    return Counter(order.re_openid for order in machine.paid().values())


def openids(result: Reissue) -> list[str]:
    return [entry.re_openid for entry in result.rows]


Ask = Callable[..., Reissue]
SheetOf = Callable[[Reissue], Reading]


# Which rows


def test_only_the_dead_get_a_new_number(machine: Machine, ask: Ask) -> None:
    die(machine, "oB")
    result = ask()
    assert openids(result) == ["oB"]
    assert (result.left_out, result.known, result.total_fen) == ([], 0, 888)


def test_what_was_refused_unstored_keeps_its_number(machine: Machine, ask: Ask) -> None:
    """An openid of another account is corrected in the sheet, under the same number."""
    machine.faults(openid_error={"openids": ["oB"]})
    machine.run(SHEET, keys="id")
    assert ask() == Reissue()


def test_nothing_is_asked_where_nothing_is_dead(machine: Machine, ask: Ask) -> None:
    machine.run(SHEET, keys="id")
    questions = machine.wire.questions
    assert ask() == Reissue()
    assert machine.wire.questions == questions


def test_every_number_of_the_row_is_asked_about(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    """The first, the second, and the third that is to be given."""
    die(machine, "oB")
    machine.faults(send_failed={"openids": ["oB"]})
    run_tied(machine, sheet_of(ask()))
    machine.faults()
    questions = machine.wire.questions
    result = ask()
    assert [(e.re_openid, e.issue) for e in result.rows] == [("oB", 2)]
    assert machine.wire.questions == questions + 3


def test_a_row_that_was_reissued_is_not_issued_again(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    die(machine, "oB")
    run_tied(machine, sheet_of(ask()))
    assert openids(ask()) == []


def test_a_lost_sheet_is_written_again_as_it_was_run(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    """Corrected, and planned, but not sent: else nobody could send it any more."""
    die(machine, "oB")
    lost = sheet_of(ask())
    machine.faults(refused=1)
    run_tied(machine, lost, re_openid="oCorrected")
    machine.faults()
    again = sheet_of(ask())
    assert [order.re_openid for order in again.orders] == ["oCorrected"]
    for _ in range(2):
        run_tied(machine, again)
    assert times_paid(machine) == {"oA": 1, "oC": 1, "oCorrected": 1}
    assert ask().rows == []


def test_the_answers_are_kept_as_evidence_and_change_nothing(machine: Machine, ask: Ask) -> None:
    die(machine, "oB")
    before = machine.entries()
    [number] = [n for n, entry in before.items() if entry.state is State.REJECTED]
    with machine.look() as ledger:
        asked = len(ledger.questions(number))
    ask()
    assert machine.entries() == before
    with machine.look() as ledger:
        assert [q.status for q in ledger.questions(number)[asked:]] == [Status.FAILED]


# What came back


@pytest.fixture
def unopened() -> Iterator[Machine]:
    """A campaign whose packets nobody opened: after two days all money is back."""
    merchant = RehearsalMerchant(mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=0.0)
    with Machine(Random(7), merchant=merchant) as made:
        made.run(SHEET, keys="id")
        for _ in range(3):
            made.later(DAY_S)
            made.reconcile()
        assert made.states() == "refunded refunded refunded"
        yield made


def test_refunded_rows_only_on_request(unopened: Machine) -> None:
    with unopened.ledger() as ledger, unopened.desk(ledger) as desk:
        assert candidates(ledger, "lantern", mch_id=MCH_ID, refunded=False) == []
        found = candidates(ledger, "lantern", mch_id=MCH_ID, refunded=True)
        assert len(reissue(desk, found, refunded=True).rows) == 3
        objections = reissue(desk, found, refunded=False).left_out
    assert ["--refunded" in str(left.advice) for left in objections] == [True] * 3


# When the word is missing, or another


@pytest.mark.parametrize(
    "fault, reason",
    [
        ({"reset_before": {"endpoint": "gethbinfo"}}, "no clear answer"),
        ({"systemerror": {"endpoint": "gethbinfo"}}, "no clear answer"),
        ({"unknown_status": 1}, "no clear answer"),
        ({"truncated": {"endpoint": "gethbinfo"}}, "no clear answer"),
    ],
)
def test_without_a_clear_answer_the_row_is_left_out_for_now(
    machine: Machine, ask: Ask, fault: dict[str, object], reason: str
) -> None:
    die(machine, "oB")
    machine.faults(**fault)
    result = ask()
    assert result.rows == []
    assert [(left.again, reason in str(left.reason)) for left in result.left_out] == [(True, True)]
    machine.faults()
    assert openids(ask()) == ["oB"]


def test_the_number_that_would_come_next_must_be_clear_too(machine: Machine, ask: Ask) -> None:
    die(machine, "oB")
    with machine.look() as ledger:
        [candidate] = candidates(ledger, "lantern", mch_id=MCH_ID, refunded=False)
    machine.faults(systemerror={"endpoint": "gethbinfo", "mch_billnos": [candidate.following.mch_billno]})
    assert [left.again for left in ask().left_out] == [True]


def test_one_clear_row_does_not_wait_for_another(machine: Machine, ask: Ask) -> None:
    die(machine, "oA", "oB")
    number = next(n for n, entry in machine.entries().items() if entry.re_openid == "oA")
    machine.faults(reset_before={"endpoint": "gethbinfo", "mch_billnos": [number]})
    result = ask()
    assert openids(result) == ["oB"]
    assert [left.entry.re_openid for left in result.left_out] == ["oA"]


def test_not_found_proves_nothing(machine: Machine, ask: Ask) -> None:
    """WeChat Pay forgets orders: then nobody can say any more that this one was dead."""
    die(machine, "oB")
    machine.faults(not_found=1)
    [left] = ask().left_out
    assert not left.again
    assert "proves nothing" in str(left.reason)


def test_what_is_paid_now_is_never_paid_again(machine: Machine, ask: Ask) -> None:
    """The ledger calls the row dead, and WeChat Pay says otherwise: a person has to look."""
    die(machine, "oB")
    number = pay_after_all(machine)
    result = ask()
    assert result.rows == []
    [left] = result.left_out
    assert (left.again, "SENT" in str(left.reason)) == (False, True)
    flagged = machine.entries()[number]
    assert (flagged.state, flagged.flag) == (State.REJECTED, Flag.CONTRADICTION)
    assert verdict(flagged) is Verdict.UNKNOWN, "no longer called proven dead"
    [(entry, need)] = needs(machine)
    assert entry == flagged
    assert str(need.reason).startswith("MAY HAVE BEEN PAID AFTER ALL")
    with machine.look() as ledger:
        assert list(ledger.broken_events()) == list(ledger.unexplained()) == []


def test_a_sheet_that_was_written_before_the_contradiction_is_refused(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """It waited in a mailbox; meanwhile WeChat Pay says that the first number was paid after all."""
    die(machine, "oB")
    waiting = sheet_of(ask())
    pay_after_all(machine)
    assert ask().rows == []
    with pytest.raises(PlanConflict, match="not proven dead"):
        run_tied(machine, waiting)
    assert times_paid(machine)["oB"] == 1


def planned_again(machine: Machine, ask: Ask, sheet_of: SheetOf) -> Reading:
    """A sheet with oB's second number; the account was empty, so that number is planned and not sent."""
    die(machine, "oB")
    waiting = sheet_of(ask())
    machine.faults(refused=1)
    run_tied(machine, waiting)
    machine.faults()
    return waiting


def test_a_second_number_that_was_planned_before_the_contradiction_is_not_sent(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """The account was empty, so it waited; meanwhile the recipient shows that the first one came."""
    waiting = planned_again(machine, ask, sheet_of)
    look_up(machine, pay_after_all(machine))
    with pytest.raises(PlanConflict, match="not proven dead"):
        run_tied(machine, waiting)
    assert times_paid(machine)["oB"] == 1


def test_not_even_by_a_run_that_is_at_work_already(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    """Or by one that resumes without planning anew: the ledger no longer lets the request leave."""
    planned_again(machine, ask, sheet_of)
    with machine.look() as ledger:
        known = ledger.campaign("lantern")
        assert known is not None
        ledger.save_campaign(replace(known, plan_digest="as it was planned"), machine.clock.now_s())
    look_up(machine, pay_after_all(machine))
    with machine.ledger() as ledger, machine.desk(ledger) as desk:
        known = ledger.campaign("lantern")
        assert known is not None
        assert known.plan_digest == "", "so that the next command plans, and says why"
        send(desk, "lantern", wait_s=300.0, pause=machine.clock.sleep, say_behind=lambda: None)
        assert list(ledger.broken_events()) == list(ledger.unexplained()) == []
    assert times_paid(machine)["oB"] == 1


def test_nor_where_a_backup_has_forgotten_the_contradiction(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """A ledger that may be behind the truth asks once more what its waiting second numbers rest on."""
    waiting = planned_again(machine, ask, sheet_of)
    backup = machine.path.read_bytes()
    look_up(machine, pay_after_all(machine))
    machine.disk.restore(backup)
    with machine.look() as ledger:
        ledger.ask_everything_first(machine.clock.now_s())
    run_tied(machine, waiting)
    assert [str(need.reason)[:29] for _, need in needs(machine)] == ["MAY HAVE BEEN PAID AFTER ALL:"]
    assert times_paid(machine)["oB"] == 1


@pytest.mark.parametrize("first", ["asked", "to be repeated"])
def test_a_second_number_in_doubt_is_asked_about_and_not_repeated(
    machine: Machine, ask: Ask, sheet_of: SheetOf, first: str
) -> None:
    """Its request got lost; whether it is to be asked about or sent again when the first one shows up."""
    die(machine, "oB")
    machine.faults(answer_lost={"endpoint": "sendredpack"}, reset_before={"endpoint": "sendredpack"})
    waiting = sheet_of(ask())
    run_tied(machine, waiting)
    [second] = [n for n, entry in machine.entries().items() if entry.issue == 2]
    assert machine.entries()[second].state is State.IN_DOUBT
    if first == "to be repeated":
        for _ in range(2):  # two times NOT_FOUND
            machine.later(3600.0)
            look_up(machine, second)
        assert machine.entries()[second].todo is Todo.REPEAT
    machine.faults()
    look_up(machine, pay_after_all(machine))
    for _ in range(3):
        machine.later(3600.0)
        with machine.ledger() as ledger, machine.desk(ledger) as desk:
            send(desk, "lantern", wait_s=300.0, pause=machine.clock.sleep, say_behind=lambda: None)
            assert list(ledger.broken_events()) == list(ledger.unexplained()) == []
    assert machine.entries()[second].state is State.IN_DOUBT
    assert times_paid(machine)["oB"] == 1


def test_a_row_that_was_contradicted_is_left_out_for_good(machine: Machine, ask: Ask) -> None:
    """WeChat Pay calls it failed again: two of its words do not agree, and a sheet with it would be refused
    as a whole."""
    die(machine, "oA", "oB")
    number = next(n for n, entry in machine.entries().items() if entry.re_openid == "oB")
    with machine.look() as ledger:
        entry = ledger.entry(number)
        assert entry is not None
        paid = QueryAnswer(status=Status.RECEIVED)
        ledger.flag_settled(entry, Flag.CONTRADICTION, paid, asked_at_s=0.0, now_s=machine.clock.now_s())
    result = ask()
    assert openids(result) == ["oA"]
    assert [(left.entry.mch_billno, left.again) for left in result.left_out] == [(number, False)]


def test_a_contradiction_that_comes_while_the_operator_reads_the_question_counts(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """The draft was sound; when it is written it no longer is."""
    die(machine, "oB")
    waiting = sheet_of(ask())
    facts = SheetFacts(file="lantern-reissue.xlsx", digest="", key_column="id", partial=True)
    with machine.ledger() as ledger:
        drafted = draft(ledger, waiting.orders, campaign="lantern", sheet=facts, sender=machine.sender)
    look_up(machine, pay_after_all(machine))
    with machine.ledger() as ledger:
        with pytest.raises(PlanConflict, match="may have been paid after all"):
            plan(ledger, drafted, sheet=facts, title="", now_s=machine.clock.now_s())
        assert len(list(ledger.known("lantern"))) == 3


# What the funds bill says


def matched(machine: Machine, number: str, *yuan: str) -> None:
    """The last match with the funds bills brought these movements for this packet."""
    lines = [line(each, number) for each in yuan]
    with machine.look() as ledger:
        entry = ledger.entry(number)
        assert entry is not None
        found = [debit_unexpected(entry, [each for each in lines if not each.incoming])]
        if refunds := [each for each in lines if each.incoming]:
            found.append(refund_unexpected(entry, refunds))
        ledger.keep_match("lantern", [], ((number, each) for each in lines), found, machine.clock.now_s())


def test_a_dead_packet_that_was_debited_gets_no_second_number(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """WeChat Pay calls it failed, and its own bill says that the money left; nor does a waiting sheet pay."""
    die(machine, "oB")
    waiting = sheet_of(ask())
    [number] = [n for n, entry in machine.entries().items() if entry.state is State.REJECTED]
    matched(machine, number, "-8.88")
    result = ask()
    assert result.rows == []
    [left] = result.left_out
    assert (left.again, "debit" in str(left.reason)) == (False, True)
    with pytest.raises(PlanConflict, match="may have been paid after all"):
        run_tied(machine, waiting)
    assert times_paid(machine) == {"oA": 1, "oC": 1}


def test_nor_is_a_second_number_repeated_as_long_as_the_money_is_away(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """It left, no answer came, and WeChat Pay does not know it; then the bill shows the first one's debit."""
    die(machine, "oB")
    [first] = [n for n, entry in machine.entries().items() if entry.state is State.REJECTED]
    machine.faults(answer_lost={"endpoint": "sendredpack"}, reset_before={"endpoint": "sendredpack"})
    run_tied(machine, sheet_of(ask()))
    machine.faults()
    matched(machine, first, "-8.88")
    for _ in range(3):
        machine.later(3600.0)
        machine.reconcile()
    assert times_paid(machine)["oB"] == 0
    assert [entry.mch_billno for entry, _ in needs(machine)] == [first]
    matched(machine, first, "-8.88", "+8.88")
    machine.later(3600.0)
    machine.reconcile()
    assert times_paid(machine)["oB"] == 1


def test_a_second_number_that_was_planned_before_the_bill_came_is_held(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    die(machine, "oB")
    [first] = [n for n, entry in machine.entries().items() if entry.state is State.REJECTED]
    waiting = sheet_of(ask())
    machine.faults(refused=1)
    run_tied(machine, waiting)
    machine.faults()
    matched(machine, first, "-8.88")
    with machine.ledger() as ledger, machine.desk(ledger) as desk:
        send(desk, "lantern", wait_s=300.0, pause=machine.clock.sleep, say_behind=lambda: None)
        stands = standing(ledger, "lantern", now_s=machine.clock.now_s())
    assert (stands.halt, stands.held) == (None, 1), "nobody waits for it"
    assert times_paid(machine)["oB"] == 0


def test_unless_the_money_came_back(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    die(machine, "oB")
    [number] = [n for n, entry in machine.entries().items() if entry.state is State.REJECTED]
    matched(machine, number, "-8.88", "+8.88")
    run_tied(machine, sheet_of(ask()))
    assert times_paid(machine)["oB"] == 1


def test_a_contradiction_is_told_once_and_stays(machine: Machine, ask: Ask) -> None:
    """Asked again and again, it is one event; and what WeChat Pay takes back stays a person's matter."""
    test_what_is_paid_now_is_never_paid_again(machine, ask)
    with machine.look() as ledger:
        events = len(list(ledger.events()))
    ask()
    machine.faults(not_found=1)
    ask()
    with machine.look() as ledger:
        assert len(list(ledger.events())) == events
    assert len(needs(machine)) == 1


def test_a_dead_row_leaves_the_list_once_its_next_number_speaks_for_it(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    die(machine, "oA", "oB")
    assert [entry.re_openid for entry, _ in needs(machine)] == ["oA", "oB"]
    again = sheet_of(ask())
    machine.faults(send_failed={"openids": ["oB"]})
    run_tied(machine, again)
    assert [(entry.re_openid, entry.issue) for entry, _ in needs(machine)] == [("oB", 2)]


def needs(machine: Machine) -> list[tuple[Entry, Need]]:
    """Who is listed in ``status``."""
    with machine.look() as ledger:
        return list(standing(ledger, "lantern", now_s=machine.clock.now_s()).needs)


@pytest.mark.parametrize("fault", ["wrong_amount", "other_detail_id"])
def test_an_answer_that_contradicts_itself_is_no_proof(machine: Machine, ask: Ask, fault: str) -> None:
    machine.faults(failed_later={"openids": ["oB"]})
    machine.run(SHEET, keys="id")
    machine.later(DAY_S)
    machine.reconcile()
    machine.faults(**{fault: {"endpoint": "gethbinfo"}})
    assert ask().rows == []


def test_wrong_settings_are_said_and_nothing_is_decided(machine: Machine, ask: Ask) -> None:
    die(machine, "oB")
    machine.faults(sign_error={"endpoint": "gethbinfo"})
    with pytest.raises(SetupError):
        ask()


def test_an_unreachable_gateway_is_not_asked_a_thousand_times(machine: Machine, ask: Ask) -> None:
    rows = [f"{n} oPerson{n:03d} 1.00" for n in range(60)]
    machine.faults(send_failed=1)
    machine.breaker = replace(machine.breaker, consecutive=1000, window=1000)
    machine.run(orders(*rows, keys="id"), keys="id")
    machine.faults(refused=1)
    questions = machine.wire.questions
    result = ask()
    assert (result.rows, len(result.left_out)) == ([], 60)
    assert machine.wire.questions - questions < 60


# Running the sheet


def test_the_sheet_pays_the_row_under_its_second_number(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    die(machine, "oB")
    run_tied(machine, sheet_of(ask()))
    assert times_paid(machine) == {"oA": 1, "oB": 1, "oC": 1}
    assert [(e.re_openid, e.issue, e.state) for e in machine.entries().values() if e.row_key == "2"] == [
        ("oB", 1, State.REJECTED),
        ("oB", 2, State.ACCEPTED),
    ]


def test_in_whatever_order_the_sheets_are_run_everybody_is_paid_once(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    die(machine, "oA", "oB")
    again = sheet_of(ask())
    for _ in range(2):
        run_tied(machine, again)
        machine.run(SHEET, keys="id")
    assert times_paid(machine) == {"oA": 1, "oB": 1, "oC": 1}


def test_a_sheet_that_was_written_twice_pays_once(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    die(machine, "oB")
    first, second = sheet_of(ask()), sheet_of(ask())
    run_tied(machine, first)
    run_tied(machine, second)
    assert times_paid(machine)["oB"] == 1


def test_the_openid_may_be_corrected_once(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    """Two copies of the sheet with two corrections: the second one is a conflict."""
    die(machine, "oB")
    again = sheet_of(ask())
    run_tied(machine, again, re_openid="oBob")
    with pytest.raises(PlanConflict):
        run_tied(machine, again, re_openid="oBert")
    assert times_paid(machine) == {"oA": 1, "oBob": 1, "oC": 1}


# A lost ledger


def test_with_a_lost_ledger_the_sheet_alone_is_refused(machine: Machine, ask: Ask, sheet_of: SheetOf) -> None:
    """Without the first number's record there is no proof that it is dead."""
    die(machine, "oB")
    again = sheet_of(ask())
    run_tied(machine, again)
    machine.disk.lose()
    machine.wire.strict = False
    with pytest.raises(PlanConflict):
        run_tied(machine, again)
    assert times_paid(machine)["oB"] == 1


@pytest.mark.parametrize("ran_before", [False, True])
def test_with_a_lost_ledger_the_original_and_then_the_sheet_pay_once(
    machine: Machine, ask: Ask, sheet_of: SheetOf, ran_before: bool
) -> None:
    die(machine, "oB")
    again = sheet_of(ask())
    if ran_before:
        run_tied(machine, again)
    machine.disk.lose()
    machine.wire.strict = False
    machine.run(SHEET, keys="id")
    run_tied(machine, again)
    assert times_paid(machine) == {"oA": 1, "oB": 1, "oC": 1}


def test_in_an_older_ledger_a_second_number_that_exists_is_found(
    machine: Machine, ask: Ask, sheet_of: SheetOf
) -> None:
    """Reissue says so, and from there on everything is asked about before it is sent."""
    die(machine, "oB")
    with machine.look():
        older = machine.path.read_bytes()
    run_tied(machine, sheet_of(ask()))
    machine.disk.restore(older)
    machine.wire.strict = False
    result = ask()
    assert (openids(result), result.known) == (["oB"], 1)
    with machine.look() as ledger:
        known = ledger.campaign("lantern")
        assert known is not None
        assert known.ask_first
    letters = len(machine.wire.letters)
    run_tied(machine, sheet_of(result))
    assert len(machine.wire.letters) == letters
    assert times_paid(machine)["oB"] == 1
