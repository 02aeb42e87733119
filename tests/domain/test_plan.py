"""What planning a sheet does to a campaign that the ledger knows: nobody gets a second number.

Rows are written ``"oA 1.88"`` (the openid is the key) or ``"7: oA 1.88"`` (an id column gives it).
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.answer import Reach
from campaign.domain.billno import nonce_str
from campaign.domain.canonical import canonical_json
from campaign.domain.order import as_orders
from campaign.domain.packet import own_parameters, request_parameters
from campaign.domain.plan import Chosen, Clash, Draft, Fate, draft_plan
from campaign.domain.state import Evidence, State
from tests.builders import CAMPAIGN, MCH_ID, SENDER, billno, known, order, orders, repeats, tied

OPENID, ID, ORDINAL = "re_openid", "id", "re_openid+ordinal"
#: States in which a request under the number has left, or may have.
FROZEN = [State.IN_DOUBT, State.PARKED, State.ACCEPTED, State.RECEIVED, State.REFUNDED]
UNSTORED = {"state": State.REJECTED, "evidence": Evidence.UNSTORED}
DEAD = {"state": State.REJECTED, "evidence": Evidence.DEAD}
#: Refused, corrected, and not sent again yet.
CORRECTED = {"state": State.PLANNED, "sent": True}


def draft(sheet, ledger=(), *, key_column: str = OPENID, before: str | None = "same", **changes) -> Draft:
    """Plan a sheet against what the ledger knows.

    Args:
        before: the column that gave the keys when the ledger was filled.
    """
    facts = {
        "campaign": CAMPAIGN,
        "mch_id": MCH_ID,
        "sender": SENDER,
        "key_column": key_column,
        "known_key_column": (key_column if before == "same" else before) if ledger else None,
    }
    return draft_plan(sheet, ledger, **(facts | changes))


def clashes(drafted: Draft) -> list[Clash]:
    return [conflict.clash for conflict in drafted.conflicts]


def keys(rows) -> list[str]:
    return [row.tie.row_key if row.tie else row.row_key for row in rows]


def new(drafted: Draft) -> list[str]:
    return keys(drafted.new)


def revised(drafted: Draft) -> list[str]:
    return keys(row for _, row in drafted.revised)


class TestTheSameSheetAgain:
    SHEET = orders("oA 1.88", "oB 8.88", "oC 2.00")

    def test_a_new_campaign_plans_every_row_in_sheet_order(self):
        drafted = draft(self.SHEET)
        assert new(drafted) == ["oA", "oB", "oC"]
        (entries,) = drafted.entries()
        assert entries.mch_billno == [billno(row) for row in self.SHEET]
        assert drafted.pending == self.SHEET
        assert drafted.conflicts == []

    @pytest.mark.parametrize("state", [State.PLANNED, *FROZEN])
    def test_the_same_sheet_plans_nothing(self, state):
        drafted = draft(self.SHEET, [known(row, state) for row in self.SHEET])
        assert (new(drafted), revised(drafted), drafted.unchanged, drafted.missing) == ([], [], 3, 0)
        assert drafted.conflicts == []

    def test_only_planned_rows_are_still_to_be_sent(self):
        states = [State.ACCEPTED, State.PLANNED, State.IN_DOUBT]
        drafted = draft(
            self.SHEET, [known(row, state) for row, state in zip(self.SHEET, states, strict=True)]
        )
        assert keys(drafted.pending) == ["oB"]

    @given(st.permutations(["oA 1.88", "oB 8.88", "oC 2.00", "oD 3.00"]))
    def test_a_reordered_and_extended_sheet_plans_only_what_is_new(self, lines):
        ledger = [known(row, State.ACCEPTED) for row in self.SHEET]
        drafted = draft(orders(*lines), ledger)
        assert (new(drafted), revised(drafted), drafted.unchanged) == (["oD"], [], 3)
        assert drafted.conflicts == []

    def test_rows_that_the_sheet_lacks_are_counted(self):
        drafted = draft(self.SHEET[:1], [known(row, State.ACCEPTED) for row in self.SHEET])
        assert drafted.missing == 2
        assert drafted.conflicts == []

    @pytest.mark.parametrize("entry", [{"state": State.PLANNED}, UNSTORED])
    def test_a_row_under_which_nothing_can_have_been_stored_may_be_taken_away(self, entry):
        drafted = draft(self.SHEET[:2], [known(row, **entry) for row in self.SHEET])
        assert (drafted.missing, drafted.conflicts) == (0, [])

    def test_a_part_shown_on_purpose_lacks_nothing(self):
        drafted = draft(self.SHEET[:1], [known(row, State.ACCEPTED) for row in self.SHEET], partial=True)
        assert drafted.missing == 0

    @pytest.mark.parametrize("state", [State.PLANNED, State.CANCELLED])
    @pytest.mark.parametrize("partial", [False, True])
    def test_what_the_sheet_lacks_is_not_sent_now_and_comes_back_with_its_row(self, state, partial):
        """Cancelled entries too: they are planned again by ``--reopen``."""
        here, gone = self.SHEET[:2]
        drafted = draft([here], [known(here, state), known(gone, state)], partial=partial)
        assert (drafted.unlisted, drafted.relisted) == ([billno(gone)], [])
        back = draft([here, gone], [known(here, state), known(gone, state, unlisted=True)], partial=partial)
        assert (back.unlisted, back.relisted) == ([], [billno(gone)])
        assert keys(back.pending) == ["oA", "oB"]

    @pytest.mark.parametrize("state", [s for s in State if s not in (State.PLANNED, State.CANCELLED)])
    def test_what_was_sent_is_neither_taken_off_the_list_nor_put_on_it(self, state):
        row = self.SHEET[0]
        for unlisted in (False, True):
            away, back = (
                draft([], [known(row, state, unlisted=unlisted)]),
                draft([row], [known(row, state, unlisted=unlisted)]),
            )
            assert away.unlisted + away.relisted + back.unlisted + back.relisted == []

    def test_the_order_of_the_ledger_does_not_matter(self):
        ledger = [known(row) for row in self.SHEET]
        random.Random(1).shuffle(ledger)
        assert draft(self.SHEET, ledger).unchanged == 3

    def test_entries_carry_the_number_the_key_and_the_frozen_request(self):
        row = order("oA 1.88", own={"姓名": "王"})
        (entries,) = draft([row]).entries()
        ((number, key, issue, sheet, at, openid, fen, nonce, own, shared),) = zip(*entries, strict=True)
        assert (number, key, issue, sheet, at, own) == (billno(row), "oA", 1, "Sheet1", 2, '{"姓名":"王"}')
        sent = own_parameters(number, nonce or nonce_str(number), openid, fen)
        assert shared.keys() >= sent.keys()
        assert {**shared, **sent} == request_parameters(row, billno(row), SENDER)

    def test_two_rows_under_one_number_are_never_merged_in_silence(self):
        """Where one number is in the ledger already; among new rows the ledger itself sees to it."""
        with pytest.raises(AssertionError):
            draft(orders("oA 1.00", "oA 2.00"), [known("oB 1.00"), known("oC 1.00")])


class TestEditedRows:
    BEFORE = order("7: oA 1.88", scene_id="PRODUCT_2", risk_info="posttime%3d1")
    EDITS = (
        ("re_openid", "oB", "oA", "oB"),
        ("total_amount", 189, "188", "189"),
        ("wishing", "新年快乐", "祝您元宵节快乐!", "新年快乐"),
        ("send_name", "别家", "天虹百货", "别家"),
        ("act_name", "抽奖", "猜灯谜抢红包", "抽奖"),
        ("remark", "快", "猜越多得越多,快来抢!", "快"),
        ("scene_id", "PRODUCT_3", "PRODUCT_2", "PRODUCT_3"),
        ("risk_info", "posttime%3d2", "posttime%3d1", "posttime%3d2"),
    )

    @pytest.mark.parametrize("state", FROZEN)
    @pytest.mark.parametrize("field, value, was, now", EDITS)
    def test_after_a_request_every_change_is_a_conflict_with_both_values(self, state, field, value, was, now):
        edited = replace(self.BEFORE, **{field: value})
        (conflict,) = draft([edited], [known(self.BEFORE, state)], key_column=ID).conflicts
        assert (conflict.clash, conflict.field, conflict.was, conflict.now) == (Clash.EDITED, field, was, now)
        assert (conflict.order, conflict.row) == (edited, 2)

    @pytest.mark.parametrize("field, value, was, now", EDITS)
    def test_a_dead_order_is_as_frozen_as_a_paid_one(self, field, value, was, now):
        """It is paid again through `reissue`, which asks first; not by an edit."""
        edited = replace(self.BEFORE, **{field: value})
        assert clashes(draft([edited], [known(self.BEFORE, **DEAD)], key_column=ID)) == [Clash.EDITED]

    @pytest.mark.parametrize("field, value, was, now", EDITS)
    @pytest.mark.parametrize("before", [{"state": State.PLANNED}, CORRECTED, UNSTORED])
    def test_before_any_order_can_be_stored_the_row_takes_its_present_values(
        self, before, field, value, was, now
    ):
        edited = replace(self.BEFORE, **{field: value})
        drafted = draft([edited], [known(self.BEFORE, **before)], key_column=ID)
        assert (revised(drafted), drafted.conflicts, drafted.pending) == (["7"], [], [edited])
        (entry,) = drafted.revisions()
        assert entry.mch_billno == billno(self.BEFORE)
        assert entry.parameters == request_parameters(edited, billno(self.BEFORE), SENDER)

    def test_one_cell_of_two_edited_rows_each_gives_two_conflicts(self):
        sheet = orders("1: oA 1.00", "2: oB 2.00")
        ledger = [known(row, State.RECEIVED) for row in sheet]
        edited = [replace(row, total_amount=row.total_amount + 1) for row in sheet]
        assert clashes(draft(edited, ledger, key_column=ID)) == [Clash.EDITED, Clash.EDITED]

    @pytest.mark.parametrize("state", FROZEN)
    @pytest.mark.parametrize("field", ["wishing", "send_name", "act_name", "remark", "scene_id", "risk_info"])
    def test_a_text_that_merely_follows_a_changed_setting_is_no_edit(self, state, field):
        before = order("oA 1.88")
        following = replace(before, **{field: "PRODUCT_1"}, from_settings=frozenset({field}))
        drafted = draft([following], [known(before, state)])
        assert (drafted.conflicts, drafted.unchanged, revised(drafted)) == ([], 1, [])

    def test_an_amount_never_follows_a_setting(self):
        before = order("oA 1.88")
        edited = replace(before, total_amount=189)
        assert clashes(draft([edited], [known(before, State.ACCEPTED)])) == [Clash.EDITED]

    @pytest.mark.parametrize("state", FROZEN)
    def test_a_changed_appid_or_address_changes_no_request_that_was_sent(self, state):
        before = order("oA 1.88")
        drafted = draft([before], [known(before, state)], sender=replace(SENDER, client_ip="192.0.2.11"))
        assert (drafted.conflicts, drafted.unchanged) == ([], 1)

    def test_but_every_one_that_was_not(self):
        before = order("oA 1.88")
        drafted = draft([before], [known(before)], sender=replace(SENDER, client_ip="192.0.2.11"))
        assert revised(drafted) == ["oA"]

    @pytest.mark.parametrize("change", [{"own": {"姓名": "李"}}, {"source": order("oA 1", row=9).source}])
    def test_what_stands_beside_the_row_follows_until_it_is_sent_and_never_conflicts(self, change):
        before = order("oA 1.88", own={"姓名": "王"})
        assert revised(draft([replace(before, **change)], [known(before)])) == ["oA"]
        sent = draft([replace(before, **change)], [known(before, State.ACCEPTED)])
        assert (revised(sent), sent.conflicts) == ([], [])


class TestRefusedRows:
    """Unstored: every request was refused, so the same number may be sent corrected."""

    ROW = order("oA 1.88")

    def test_an_uncorrected_row_stays_refused(self):
        drafted = draft([self.ROW], [known(self.ROW, **UNSTORED)])
        assert (revised(drafted), drafted.unchanged, drafted.pending) == ([], 1, [])

    def test_a_row_refused_for_the_settings_sake_is_sent_again_as_it_is(self):
        """SIGN_ERROR and the like: key and certificate are not among the parameters."""
        drafted = draft([self.ROW], [known(self.ROW, **UNSTORED, last_reach=Reach.ABORT)])
        assert (revised(drafted), drafted.pending) == (["oA"], [self.ROW])

    def test_a_corrected_setting_is_a_correction_too(self):
        drafted = draft(
            [self.ROW], [known(self.ROW, **UNSTORED)], sender=replace(SENDER, wxappid="wxfedcba9876543210")
        )
        assert revised(drafted) == ["oA"]

    @pytest.mark.parametrize("line", ["oA 1.99", "oB 1.88"])
    def test_a_refused_row_that_was_stored_after_all_takes_no_correction(self, line):
        """WeChat Pay holds an order with the first facts, whatever it had answered."""
        stored = known("7: oA 1.88", **UNSTORED, flagged=True)
        drafted = draft(orders(f"7: {line}"), [stored], key_column=ID)
        assert (clashes(drafted), drafted.revised) == ([Clash.EDITED], [])

    @pytest.mark.parametrize("last_reach", Reach)
    def test_a_dead_row_is_never_sent_again_under_its_number(self, last_reach):
        drafted = draft([self.ROW], [known(self.ROW, **DEAD, last_reach=last_reach)])
        assert (revised(drafted), drafted.pending, drafted.unchanged) == ([], [], 1)


class TestKeys:
    @pytest.mark.parametrize("before, now", [(ID, OPENID), (OPENID, ID), (OPENID, ORDINAL), (ORDINAL, ID)])
    def test_another_key_column_is_a_conflict_and_nothing_else_is_looked_at(self, before, now):
        row = order("7: oA 1.88")
        drafted = draft([row], [known(row)], key_column=now, before=before)
        (conflict,) = drafted.conflicts
        assert (conflict.clash, conflict.was, conflict.now) == (Clash.KEY_COLUMN, before, now)
        assert (drafted.new, drafted.revised) == ([], [])

    @pytest.mark.parametrize("state", State)
    def test_a_new_id_for_a_person_whose_old_one_is_gone_is_a_conflict(self, state):
        """Whatever became of the old one: a cancelled entry is planned again by ``--reopen``."""
        ledger = [known("7: oA 1.88", state), known("8: oB 1.00", State.ACCEPTED)]
        (conflict,) = draft(orders("70: oA 1.88", "8: oB 1.00"), ledger, key_column=ID).conflicts
        assert (conflict.clash, conflict.was, conflict.now, conflict.row) == (Clash.OTHER_KEY, "7", "70", 2)

    def test_ids_renumbered_as_a_whole_are_a_conflict_in_every_row_that_stands_for_somebody_else_now(self):
        ledger = [known(f"{n}: o{n} 1.00", State.ACCEPTED) for n in range(1, 6)]
        sheet = orders(*(f"{n + 1}: o{n} 1.00" for n in range(1, 6)))
        assert clashes(draft(sheet, ledger, key_column=ID)) == [Clash.EDITED] * 4

    def test_a_second_row_for_a_person_with_an_id_of_its_own_is_welcome(self):
        drafted = draft(
            orders("7: oA 1.88", "8: oA 1.88"), [known("7: oA 1.88", State.ACCEPTED)], key_column=ID
        )
        assert (new(drafted), drafted.conflicts) == (["8"], [])

    def test_another_person_under_a_new_id_is_welcome(self):
        drafted = draft(orders("8: oB 1.88"), [known("7: oA 1.88", State.ACCEPTED)], key_column=ID)
        assert (new(drafted), drafted.conflicts) == (["8"], [])


class TestOrdinals:
    """``--allow-repeats``: the key is openid + ordinal, so a person's rows may only grow at the end."""

    BEFORE = repeats("oA 1.00", "oB 5.00", "oA 2.00")

    def ledger(self, *states: State):
        return [known(row, state) for row, state in zip(self.BEFORE, states, strict=True)]

    def drafted(
        self, *lines: str, states=(State.ACCEPTED, State.ACCEPTED, State.PLANNED), **changes
    ) -> Draft:
        return draft(repeats(*lines), self.ledger(*states), key_column=ORDINAL, **changes)

    def test_the_same_sheet_and_rows_appended_below(self):
        assert self.drafted("oA 1.00", "oB 5.00", "oA 2.00").conflicts == []
        grown = self.drafted("oA 1.00", "oB 5.00", "oA 2.00", "oA 3.00", "oB 1.00")
        assert (new(grown), grown.conflicts) == (["oA #3", "oB #2"], [])

    def test_other_peoples_rows_may_come_and_go_around_them(self):
        drafted = self.drafted("oC 1.00", "oB 5.00", "oA 1.00", "oC 2.00", "oA 2.00", "oA 3.00")
        assert (new(drafted), drafted.conflicts) == (["oC #1", "oC #2", "oA #3"], [])

    def test_a_sheet_that_shrank_above_still_lets_rows_be_appended(self):
        """Row numbers prove nothing: what stood in row 9 stands in row 2 now, and row 3 is appended."""
        ledger = [
            known(replace(row, source=order("x 1", row=9).source), State.ACCEPTED) for row in self.BEFORE[:1]
        ]
        drafted = draft(repeats("oA 1.00", "oA 7.00"), ledger, key_column=ORDINAL)
        assert (new(drafted), drafted.conflicts) == (["oA #2"], [])

    @pytest.mark.parametrize(
        "lines",
        [
            ("oB 5.00", "oA 2.00"),  # the first row removed
            ("oA 1.00", "oB 5.00"),  # the second row removed
            ("oB 5.00",),  # both
            ("oA 3.00", "oA 1.00", "oB 5.00", "oA 2.00"),  # one inserted above
            ("oA 1.00", "oB 5.00", "oA 3.00", "oA 2.00"),  # one inserted between
            ("oA 2.00", "oB 5.00", "oA 1.00"),  # changed places
        ],
    )
    @pytest.mark.parametrize("second", [State.PLANNED, State.ACCEPTED])
    def test_removed_inserted_and_reordered_rows_of_a_person_who_was_sent_one(self, lines, second):
        drafted = self.drafted(*lines, states=(State.ACCEPTED, State.ACCEPTED, second))
        assert Clash.REORDERED in clashes(drafted)

    @pytest.mark.parametrize("lines", [("oB 5.00", "oA 2.00"), ("oA 3.00", "oA 1.00", "oB 5.00", "oA 2.00")])
    def test_before_anything_was_sent_to_that_person_they_may_change(self, lines):
        drafted = self.drafted(*lines, states=(State.PLANNED, State.ACCEPTED, State.PLANNED))
        assert drafted.conflicts == []

    def test_rows_alike_in_amount_are_told_apart_by_the_operators_own_columns(self):
        before = [replace(row, own={"期": str(n)}) for n, row in enumerate(repeats("oA 1.00", "oA 1.00"))]
        ledger = [known(row, State.ACCEPTED) for row in before]
        swapped = [
            replace(row, own={"期": str(1 - n)}) for n, row in enumerate(repeats("oA 1.00", "oA 1.00"))
        ]
        assert clashes(draft(swapped, ledger, key_column=ORDINAL)) == [Clash.REORDERED]
        noted = [replace(row, own={"期": f"{n}!"}) for n, row in enumerate(before)]
        assert draft(noted, ledger, key_column=ORDINAL).conflicts == []

    def test_an_edited_amount_is_an_edit_and_no_reordering(self):
        assert clashes(self.drafted("oA 1.01", "oB 5.00", "oA 2.00")) == [Clash.EDITED]

    def test_a_pilots_part_of_the_sheet_removes_nothing(self):
        assert self.drafted("oA 1.00", partial=True).conflicts == []

    @given(st.data())
    def test_no_change_of_a_sheet_ever_pays_a_person_more_rows_than_it_shows(self, data):
        """Whatever was sent before: entries and new rows together are the sheet, or nothing is sent."""
        lines = st.lists(st.sampled_from(["oA 1.00", "oA 2.00", "oB 1.00"]), max_size=5)
        before, after = repeats(*data.draw(lines)), repeats(*data.draw(lines))
        sent = [known(row, State.ACCEPTED) for row in before]
        drafted = draft(after, sent, key_column=ORDINAL)
        if drafted.conflicts or not sent:
            return
        paid = sorted(
            [(k.re_openid, k.total_amount) for k in sent]
            + [(o.re_openid, o.total_amount) for o in drafted.new]
        )
        assert paid == sorted((o.re_openid, o.total_amount) for o in after)


class TestFixSheets:
    """Rows of our own sheets carry their number along; what they correct may have been paid meanwhile."""

    def test_a_corrected_row_keeps_its_number(self):
        fixed = tied("oB 1.88", key="oA")
        drafted = draft([fixed], [known("oA 1.88", **UNSTORED)], partial=True)
        assert (revised(drafted), new(drafted), drafted.conflicts) == (["oA"], [], [])
        (entry,) = drafted.revisions()
        assert (entry.mch_billno, entry.re_openid, entry.row_key) == (billno(order("oA 1.88")), "oB", "oA")

    def test_it_needs_no_key_column(self):
        drafted = draft(
            [tied("oB 1.88", key="7")], [known("7: oA 1.88", **UNSTORED)], key_column=OPENID, before=ID
        )
        assert drafted.conflicts == []

    @pytest.mark.parametrize("paid", [State.PLANNED, State.IN_DOUBT, State.ACCEPTED, State.RECEIVED])
    def test_the_original_corrected_first_and_then_the_fix_sheet(self, paid):
        """oA was a typing mistake for oB; oB was paid through the corrected original."""
        ledger = [known("oA 1.88", **UNSTORED), known("oB 1.88", paid)]
        (conflict,) = draft([tied("oB 1.88", key="oA")], ledger, partial=True).conflicts
        assert (conflict.clash, conflict.was) == (Clash.OTHER_KEY, "oB")

    @pytest.mark.parametrize("through_the_fix_sheet", [CORRECTED, {"state": State.ACCEPTED}, UNSTORED])
    def test_the_fix_sheet_first_and_then_the_original_corrected(self, through_the_fix_sheet):
        ledger = [known(tied("oB 1.88", key="oA"), **through_the_fix_sheet)]
        (conflict,) = draft(orders("oB 1.88"), ledger).conflicts
        assert (conflict.clash, conflict.was, conflict.now) == (Clash.OTHER_KEY, "oA", "oB")

    def test_the_fix_sheet_first_and_then_the_original_as_it_was(self):
        """The number stands for oB now: the old row is an edit of it, and says so."""
        ledger = [known(tied("oB 1.88", key="oA"), State.ACCEPTED)]
        (conflict,) = draft(orders("oA 1.88"), ledger).conflicts
        assert (conflict.clash, conflict.field, conflict.was, conflict.now) == (
            Clash.EDITED,
            "re_openid",
            "oB",
            "oA",
        )

    def test_the_original_with_the_person_added_beside_the_mistake(self):
        """oA's order is dead and reissued to oB; the original gets a row for oB besides."""
        ledger = [known("oA 1.88", **DEAD), known(tied("oB 1.88", key="oA", issue=2), State.ACCEPTED)]
        assert clashes(draft(orders("oA 1.88", "oB 1.88"), ledger)) == [Clash.OTHER_KEY]

    @pytest.mark.parametrize("states", [(State.ACCEPTED, State.PLANNED), (State.PLANNED, State.ACCEPTED)])
    def test_with_an_id_column_the_corrected_original_keeps_its_key_so_both_agree(self, states):
        mine, other = states
        ledger = [known(replace(order("7: oA 1.88"), re_openid="oB"), mine), known("8: oB 3.00", other)]
        assert draft([tied("oB 1.88", key="7")], ledger, before=ID, partial=True).conflicts == []
        assert draft(orders("7: oB 1.88", "8: oB 3.00"), ledger, key_column=ID).conflicts == []

    @pytest.mark.parametrize("column, found", [(ID, []), (OPENID, [Clash.OTHER_KEY])])
    def test_so_with_ids_a_corrected_openid_may_be_one_that_has_a_row_of_its_own(self, column, found):
        paid = known("8: oB 3.00", State.ACCEPTED)
        fixed = draft(
            [tied("oB 1.88", key="7")], [known("7: oA 1.88", **UNSTORED), paid], before=column, partial=True
        )
        assert clashes(fixed) == found
        again = tied("oB 1.88", key="7", issue=2)
        assert (
            clashes(draft([again], [known("7: oA 1.88", **DEAD), paid], before=column, partial=True)) == found
        )

    def test_a_person_with_several_rows_of_their_own_is_no_conflict_where_the_openid_stays(self):
        first, second = repeats("oA 1.00", "oA 2.00")
        ledger = [known(first, State.ACCEPTED), known(second, **UNSTORED)]
        fixed = replace(second, tie=tied("oA 2.00", key="oA #2").tie, wishing="好")
        drafted = draft([fixed], ledger, key_column=OPENID, before=ORDINAL, partial=True)
        assert (revised(drafted), drafted.conflicts) == (["oA #2"], [])

    def test_with_ordinals_a_corrected_openid_meets_that_persons_own_rows(self):
        ledger = [known(repeats("oA 1.00")[0], **UNSTORED), known(repeats("oB 1.00")[0], State.ACCEPTED)]
        drafted = draft([tied("oB 1.00", key="oA #1")], ledger, before=ORDINAL, partial=True)
        assert clashes(drafted) == [Clash.OTHER_KEY]

    def test_with_ordinals_the_corrected_original_meets_the_corrected_row(self):
        """Also while nothing was sent under the corrected openid yet."""
        ledger = [replace(known(tied("oB 1.00", key="oA #1")), sent=False)]
        assert Clash.OTHER_KEY in clashes(draft(repeats("oB 1.00"), ledger, key_column=ORDINAL))


class TestCorrectedPeople:
    """A row that was not sent yet takes another person's openid, and that person's own row is gone."""

    @pytest.mark.parametrize("unsent", [{"state": State.PLANNED, "sent": False}, UNSTORED])
    @pytest.mark.parametrize("state", [State.IN_DOUBT, State.PARKED, State.ACCEPTED, State.RECEIVED])
    def test_who_was_sent_under_a_row_that_is_gone_is_not_paid_under_another(self, unsent, state):
        """Two rows turned out to be one person, and the wrong one of them was taken away."""
        ledger = [known("7: oA 1.88", **unsent), known("8: oB 1.88", state)]
        assert clashes(draft(orders("7: oB 1.88"), ledger, key_column=ID)) == [Clash.OTHER_KEY]

    def test_a_row_of_their_own_may_stand_beside_it(self):
        ledger = [known("7: oA 1.88", State.PLANNED, sent=False), known("8: oB 1.88", State.ACCEPTED)]
        drafted = draft(orders("7: oB 1.88", "8: oB 1.88"), ledger, key_column=ID)
        assert (revised(drafted), drafted.conflicts) == (["7"], [])

    @pytest.mark.parametrize("gone", [{"state": State.PLANNED, "sent": False}, UNSTORED])
    def test_what_cannot_have_been_paid_may_be_taken_away(self, gone):
        ledger = [known("7: oA 1.88", State.PLANNED, sent=False), known("8: oB 1.88", **gone)]
        drafted = draft(orders("7: oB 1.88"), ledger, key_column=ID)
        assert (revised(drafted), drafted.conflicts) == (["7"], [])


class TestReissues:
    """A second number needs the proof that the first one is dead (section 3)."""

    SECOND = tied("oA 1.88", key="oA", issue=2)

    @pytest.mark.parametrize("proof", [DEAD, {"state": State.REFUNDED}])
    @pytest.mark.parametrize("line", ["oA 1.88", "oB 1.88"])
    def test_it_is_planned_under_a_number_of_its_own_when_the_first_is_dead_or_came_back(self, proof, line):
        second = tied(line, key="oA", issue=2)
        drafted = draft([second], [known("oA 1.88", **proof)], partial=True)
        assert (new(drafted), drafted.conflicts) == (["oA"], [])
        (entries,) = drafted.entries()
        assert (entries.issue, entries.row_key) == ([2], ["oA"])
        assert entries.mch_billno == [billno(second)] != [billno(order("oA 1.88"))]

    @pytest.mark.parametrize(
        "alive", [{"state": s} for s in State if s not in (State.REFUNDED, State.REJECTED)] + [UNSTORED]
    )
    @pytest.mark.parametrize("line", ["oA 1.88", "oB 1.88"])
    @pytest.mark.parametrize("column", [OPENID, ID])
    def test_otherwise_not_even_with_another_openid(self, alive, line, column):
        """The openid is what a fix sheet corrects: the proof is looked for under the key."""
        drafted = draft(
            [tied(line, key="oA", issue=2)], [known("oA 1.88", **alive)], before=column, partial=True
        )
        assert Clash.NOT_DEAD in clashes(drafted)
        (conflict,) = [c for c in drafted.conflicts if c.clash is Clash.NOT_DEAD]
        assert (conflict.was, conflict.now) == (billno(order("oA 1.88")), alive["state"])

    @pytest.mark.parametrize("proof", [DEAD, {"state": State.REFUNDED}])
    def test_what_was_contradicted_since_is_no_proof(self, proof):
        drafted = draft([self.SECOND], [known("oA 1.88", **proof, flagged=True)], partial=True)
        assert clashes(drafted) == [Clash.NOT_DEAD]

    @pytest.mark.parametrize("entry", [{"state": State.PLANNED}, {"state": State.CANCELLED}, UNSTORED])
    def test_nor_where_the_second_number_is_planned_already(self, entry):
        again = replace(known(self.SECOND, **entry), last_reach=Reach.ABORT)
        drafted = draft([self.SECOND], [known("oA 1.88", **DEAD), again], partial=True)
        assert (keys(drafted.pending), drafted.conflicts) == (["oA"], [])
        drafted = draft([self.SECOND], [known("oA 1.88", **DEAD, flagged=True), again], partial=True)
        assert [(c.clash, c.now) for c in drafted.conflicts] == [(Clash.NOT_DEAD, "contradicted")]

    def test_without_the_first_entry_there_is_no_proof(self):
        """The ledger was lost: the original sheet brings the entries back, then `reissue` asks again."""
        (conflict,) = draft([self.SECOND]).conflicts
        assert (conflict.clash, conflict.was) == (Clash.NOT_DEAD, billno(order("oA 1.88")))

    def test_every_number_before_must_be_dead(self):
        third = tied("oA 1.88", key="oA", issue=3)
        first, second = known("oA 1.88", **DEAD), known(self.SECOND, **DEAD)
        assert draft([third], [first, second], partial=True).conflicts == []
        for ledger in (
            [first],
            [second, known("oA 1.88", State.IN_DOUBT)],
            [first, known(self.SECOND, State.PARKED)],
        ):
            assert clashes(draft([third], ledger, partial=True)) == [Clash.NOT_DEAD]

    def test_a_person_with_several_rows_may_have_one_of_them_reissued(self):
        first, second = repeats("oA 1.00", "oA 2.00")
        ledger = [known(first, State.ACCEPTED), known(second, **DEAD)]
        again = tied("oA 2.00", key="oA #2", issue=2)
        drafted = draft([again], ledger, before=ORDINAL, partial=True)
        assert (new(drafted), drafted.conflicts) == (["oA #2"], [])

    def test_another_rows_death_proves_nothing(self):
        ledger = [known("oA 1.88", State.IN_DOUBT), known("oB 1.88", **DEAD)]
        assert clashes(draft([self.SECOND], ledger, partial=True)) == [Clash.NOT_DEAD]

    def test_the_same_reissue_sheet_again_plans_nothing(self):
        drafted = draft(
            [self.SECOND], [known("oA 1.88", **DEAD), known(self.SECOND, State.ACCEPTED)], partial=True
        )
        assert (new(drafted), drafted.unchanged, drafted.conflicts) == ([], 1, [])

    def test_a_reissued_row_is_no_reason_against_another_row_for_that_person(self):
        ledger = [known("7: oA 1.88", **DEAD), known(tied("oA 1.88", key="7", issue=2), State.ACCEPTED)]
        drafted = draft(orders("7: oA 1.88", "8: oA 1.88"), ledger, key_column=ID)
        assert (new(drafted), drafted.conflicts) == (["8"], [])

    def test_the_original_sheet_again_neither_lacks_the_reissued_row_nor_pays_it(self):
        ledger = [known("oA 1.88", **DEAD), known(self.SECOND, State.ACCEPTED)]
        drafted = draft(orders("oA 1.88"), ledger)
        assert (new(drafted), drafted.unchanged, drafted.missing, drafted.conflicts) == ([], 1, 0, [])


def test_one_mapping_has_one_text():
    """Stored and compared as text: order of the keys and escapes must not make a difference."""
    assert canonical_json({"b": "祝", "a": 1}) == canonical_json({"a": 1, "b": "祝"}) == '{"a":1,"b":"祝"}'


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(100, 999), st.sampled_from(Fate)), max_size=12))
def test_a_choice_of_a_sheets_rows_speaks_of_the_chosen_ones_alone(table):
    """Who stands in two rows of the sheet may stand in one of the chosen."""
    sheet = as_orders([order(f"o{who} {fen / 100:.2f}") for who, fen, _ in table])
    chosen = Chosen(sheet, bytearray(fate for *_, fate in table), (Fate.NEW, Fate.RENEWED))
    paid = [(f"o{who}", fen) for who, fen, fate in table if fate in (Fate.NEW, Fate.RENEWED)]
    assert list(chosen.payments()) == paid
    several = {who: [fen for each, fen in paid if each == who] for who, _ in paid}
    assert chosen.people().different == len(several)
    assert chosen.people().several == {who: (len(f), sum(f)) for who, f in several.items() if len(f) > 1}
