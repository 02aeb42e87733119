"""The rows as a DataFrame: the report's own sums to the fen, real types, and nobody's openid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.domain.answer import Claim, Outcome, Status
from campaign.domain.campaign import Campaign
from campaign.domain.days import DAY_S
from campaign.domain.decision import Step
from campaign.domain.entry import Entry, Flag
from campaign.domain.state import Evidence, State
from campaign.domain.summary import Summary
from campaign.domain.verdict import DEBITED
from campaign.ledger.store import Ledger
from campaign.report import dataframe
from campaign.report.dataframe import data_frame, own_names
from campaign.stages.report import write_report
from tests.ledger.build import (
    GATEWAY,
    MERCHANT,
    NAME,
    NOON_S,
    StillClock,
    ask,
    begun,
    end,
    entry,
    open_ledger,
)

CAMPAIGN = Campaign(name=NAME, key_column="id", created_at_s=NOON_S)
#: What may become of a row that WeChat Pay took: what it says when it is asked, and where that leads.
ASKED: dict[str, tuple[Status, Step, dict[str, Any]]] = {
    "held": (Status.SENDING, Step(state=State.PARKED), {"reason": "held"}),
    "sending": (Status.SENDING, Step(state=State.ACCEPTED), {}),
    "waiting": (Status.SENT, Step(state=State.ACCEPTED), {}),
    "opened": (Status.RECEIVED, Step(state=State.RECEIVED), {"rcv_time": "2026-03-05 00:00:00"}),
    "opened at some time": (Status.RECEIVED, Step(state=State.RECEIVED), {"rcv_time": "yesterday"}),
    "going back": (Status.RFUND_ING, Step(state=State.ACCEPTED), {"refund_amount": 1}),
    "back": (Status.REFUND, Step(state=State.REFUNDED), {"refund_time": "2026-03-06 09:30:00"}),
    "back in part": (Status.REFUND, Step(state=State.REFUNDED), {"refund_amount": 1}),
    "failed": (Status.FAILED, Step(state=State.REJECTED, evidence=Evidence.DEAD), {}),
    "failed, paid again": (Status.FAILED, Step(state=State.REJECTED, evidence=Evidence.DEAD), {}),
    "flagged": (Status.REFUND, Step(state=State.REFUNDED, flag=Flag.CONTRADICTION), {"refund_amount": 1}),
}
ROW = st.fixed_dictionaries(
    {
        "fate": st.sampled_from(["planned", "in doubt", "refused", "taken", *ASKED]),
        "person": st.sampled_from("ABC"),
        "fen": st.integers(2, 20_000),
        "campaign": st.sampled_from([NAME, "spring"]),
        "sent_s": st.floats(0, 2 * DAY_S).map(lambda after_s: NOON_S + after_s),
        "own": st.dictionaries(st.sampled_from(["shop", "state"]), st.sampled_from(["", "Nanshan", "南山"])),
    }
)


def live(ledger: Ledger, planned: Entry, fate: str, sent_s: float) -> None:
    """Let the ledger learn this fate as it would in earnest."""
    if fate == "planned":
        return
    sent = begun(ledger, planned, at_s=sent_s)
    if fate == "in doubt":
        return
    if fate == "refused":
        step = Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
        end(ledger, sent, Outcome.REFUSED, step=step, err_code="OPENID_ERROR", at_s=sent_s)
        return
    taken = end(ledger, sent, Outcome.ACCEPTED, send_listid=f"1000{planned.row}", at_s=sent_s)
    if fate in ASKED:
        status, step, answer = ASKED[fate]
        said = dict(answer)
        if "rcv_time" in said:
            said["claims"] = (Claim(openid=planned.re_openid, amount=1, rcv_time=said.pop("rcv_time")),)
        ask(ledger, taken, status, step, asked_at_s=sent_s + 3 * DAY_S, **said)


def made(rows: Sequence[dict]) -> Ledger:
    """A ledger with two campaigns and these rows."""
    ledger = open_ledger(names=())
    for name, own in ((NAME, ("shop",)), ("spring", ("state", "shop"))):
        ledger.save_campaign(replace(CAMPAIGN, name=name, own_headers=own), NOON_S)
    for number, row in enumerate(rows, start=2):
        wanted = entry(f"oSAMPLE_not_a_person_000000{row['person']}", row["fen"], row=number,
                       campaign=row["campaign"], own=row["own"])  # fmt: skip
        ledger.add_entries([wanted], NOON_S)
        live(ledger, wanted, row["fate"], row["sent_s"])
        if row["fate"] == "failed, paid again":
            again = replace(wanted, mch_billno=wanted.mch_billno[:-1] + "Z", issue=2)
            ledger.add_entries([again], NOON_S)
            live(ledger, again, "opened", row["sent_s"] + 2 * DAY_S)
    return ledger


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=12))
def test_its_sums_are_the_reports_to_the_fen(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    out = tmp_path_factory.mktemp("report")
    about = {"say": str, "gateway": GATEWAY, "merchant": MERCHANT, "clock": StillClock()}
    with made(rows) as ledger:
        [path] = write_report(ledger, NAME, out=out, formats=("json",), **about)
        told, summary = json.loads(path.read_text("utf-8")), Summary.of(ledger.entries(NAME))
        frame = data_frame(ledger, [NAME])
    verdicts = frame.groupby("verdict", observed=False)["total_amount"].agg(rows="size", fen="sum")
    assert verdicts.to_dict("index") == told["verdicts"]
    states = frame.groupby("state", observed=False)["total_amount"].sum()
    assert states.to_dict() | {"total": frame["total_amount"].sum()} == told["fen"]
    assert frame["paid_amount"].sum() == summary.paid.fen
    assert frame["refund_amount"].sum() == told["bill"]["came_back"]["ledger"]["fen"]
    assert list(frame["refund_amount"]) == [row["refund_amount"] or 0 for row in told["entries"]]
    taken = frame[frame["verdict"].isin([found.value for found in DEBITED])]
    assert taken["total_amount"].sum() == told["bill"]["paid"]["ledger"]["fen"]
    assert (taken["paid_amount"] + taken["refund_amount"] == taken["total_amount"]).all()
    sent = taken.groupby(taken["sent_at"].dt.date)["total_amount"].sum()
    assert sent.to_dict() == {day: moved.sent.fen for day, moved in summary.days.items() if moved.sent.rows}
    closed = taken.groupby([taken["closed_at"].dt.date, "verdict"], observed=True)["total_amount"].size()
    assert closed.to_dict() == {
        (day, name): total.rows
        for day, moved in summary.days.items()
        for name, total in (("paid_claimed", moved.claimed), ("refunded", moved.refunded))
        if total.rows
    }
    for column in ("mch_billno", "row", "sheet", "verdict", "act_name", "sent_at", "rcv_time"):
        shown = [None if pandas.isna(value) else value for value in frame[column]]
        if column in ("sent_at", "rcv_time"):
            shown = [at and at.isoformat() for at in shown]
        assert shown == [row[column] if row[column] != "yesterday" else None for row in told["entries"]]


@given(st.lists(ROW, max_size=6), st.booleans())
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_types_are_the_same_however_few_rows_there_are(rows, unmask) -> None:
    with made(rows) as ledger:
        frame = data_frame(ledger, [NAME, "spring"], unmask=unmask)
    assert {str(frame[name].dtype) for name in frame if name.endswith(("_at", "_time"))} == {
        "datetime64[s, Asia/Shanghai]"
    }
    for name in ("row", "issue", "person", "total_amount", "paid_amount", "refund_amount"):
        assert frame[name].dtype == "Int64"
    for name in ("campaign", "sheet", "act_name", "verdict", "state", "err_code"):
        assert isinstance(frame[name].dtype, pandas.CategoricalDtype)
    assert list(frame)[-2:] == ["shop", "own_state"]
    for name in ("mch_billno", "row_key", "re_openid", "shop", "own_state"):
        assert frame[name].dtype == "str"


def test_a_person_is_one_number_and_no_openid() -> None:
    """Not in the row's key and not in the operator's columns either, unless somebody asked for them."""
    openids = [f"oSAMPLE_not_a_person_000000{who}" for who in "ABA"]
    own = {"by": f"sent by {openids[1]}"}
    with open_ledger(names=()) as ledger:
        ledger.save_campaign(replace(CAMPAIGN, own_headers=("by",)), NOON_S)
        ledger.add_entries([entry(who, row=n, own=own) for n, who in enumerate(openids, 2)], NOON_S)
        masked, full = (data_frame(ledger, [NAME], unmask=unmask) for unmask in (False, True))
    assert list(masked["person"]) == list(full["person"]) == [1, 2, 1]
    assert not any(openid in masked.to_csv() for openid in openids)
    assert list(masked["re_openid"]) == ["oS…000A", "oS…000B", "oS…000A"]
    assert list(full["re_openid"]) == openids
    assert list(full["row_key"]) == [f"{openid}-{n}" for n, openid in enumerate(openids, 2)]
    assert full["by"][0] == own["by"]


def test_rows_come_in_the_order_of_campaigns_and_sheets_however_many_there_are(monkeypatch) -> None:
    monkeypatch.setattr(dataframe, "_TOGETHER", 2)
    with open_ledger(names=("spring", NAME)) as ledger:
        for name in (NAME, "spring"):
            ledger.add_entries([entry(row=row, campaign=name) for row in (5, 3, 4)], NOON_S)
        frame = data_frame(ledger, [NAME, "spring"])
    assert list(zip(frame["campaign"], frame["row"], strict=True)) == [
        (name, row) for name in ("spring", NAME) for row in (3, 4, 5)
    ]
    assert list(frame.index) == list(range(6))
    assert list(frame["campaign"].cat.categories) == [NAME, "spring"]


@given(
    st.lists(st.sampled_from(["state", "own_state", "own_own_state", "row", "own_row", "shop"]), unique=True)
)
def test_an_own_header_that_is_a_name_of_ours_gets_another(headers) -> None:
    names = own_names(headers)
    assert len(set(names)) == len(names)
    assert not {"state", "row"} & set(names)
    for header, name in zip(headers, names, strict=True):
        assert name.removesuffix(header).replace("own_", "") == ""
        assert name == header or header in ("state", "row")
    assert own_names(headers[::-1]) == names[::-1]


def test_without_a_ledger_it_has_all_columns_and_no_row() -> None:
    with open_ledger() as ledger:
        none_planned = data_frame(ledger, [NAME])
    nothing = data_frame(None, [])
    pandas.testing.assert_frame_equal(nothing, none_planned)
    assert nothing.empty
    assert nothing["total_amount"].sum() == 0
    assert len(nothing["sent_at"].dt.date) == 0
