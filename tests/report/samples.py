"""Entries for reports: every state with the facts that the ledger would hold for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from campaign.domain.answer import Outcome, Reach
from campaign.domain.campaign import Campaign
from campaign.domain.days import beijing_text, moment_s
from campaign.domain.entry import Entry, Flag, Tally, Todo
from campaign.domain.state import Evidence, State
from campaign.report.lines import Facts

HOUR = 3600.0
DAY = 24 * HOUR
#: The lantern festival's evening.
SENT = moment_s("2026-03-03 20:00:00")
NOW = SENT + 2 * DAY

PARAMETERS = {
    "act_name": "猜灯谜抢红包",
    "send_name": "天虹百货",
    "wishing": "祝您元宵节快乐!",
    "remark": "猜越多得越多,快来抢!",
    "client_ip": "192.0.2.10",
    "scene_id": "PRODUCT_2",
}


def campaign(**changes: Any) -> Campaign:
    facts: dict[str, Any] = {
        "name": "lantern",
        "title": "元宵节猜灯谜",
        "key_column": "id",
        "created_at_s": SENT - HOUR,
        "sheet_file": "lantern.xlsx",
        "own_headers": ("姓名", "手机"),
    }
    return Campaign(**(facts | changes))


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "campaign": campaign(),
        "merchant": "1900000109",
        "gateway": "api.mch.weixin.qq.com",
        "made_at_s": NOW,
    }
    return Facts(**(given | changes))


def entry(state: State = State.PLANNED, *, row: int = 2, fen: int = 188, **changes: Any) -> Entry:
    """One entry in a state, sent on the festival's evening where it was sent at all."""
    known: dict[str, Any] = {
        "mch_billno": f"1900000109{row:018d}",
        "campaign": "lantern",
        "row_key": f"k{row}",
        "sheet": "名单",
        "row": row,
        "re_openid": f"oLantern{row:020d}",
        "total_amount": fen,
        "parameters": PARAMETERS,
        "own": {"姓名": f"张三{row}", "手机": f"1380013{row:04d}"},
        "state": state,
    }
    if state not in (State.PLANNED, State.CANCELLED):
        known |= {"tally": Tally(attempts=1), "first_sent_at_s": SENT, "last_sent_at_s": SENT}
    if state in (State.ACCEPTED, State.RECEIVED, State.REFUNDED):
        known |= {
            "tally": Tally(attempts=1, held=1),
            "accepted_at_s": SENT,
            "send_listid": f"10000417012026030330{row:08d}",
            "detail_id": f"10000417012026030330{row:08d}",
        }
    known |= _BY_STATE.get(state, {})
    return Entry(**(known | changes))


_BY_STATE: dict[State, dict[str, Any]] = {
    State.ACCEPTED: {"status": "SENT", "asked_at_s": SENT + HOUR, "todo": Todo.ASK, "due_at_s": SENT + DAY},
    State.RECEIVED: {
        "status": "RECEIVED",
        "rcv_time": beijing_text(SENT + 95),
        "asked_at_s": SENT + HOUR,
        "settled_at_s": SENT + HOUR,
    },
    State.REFUNDED: {
        "status": "REFUND",
        "refund_time": beijing_text(SENT + DAY + 600),
        "refund_amount": 188,
        "asked_at_s": SENT + 25 * HOUR,
        "settled_at_s": SENT + 25 * HOUR,
    },
    State.IN_DOUBT: {"last_outcome": Outcome.UNKNOWN, "todo": Todo.ASK, "due_at_s": SENT + 1},
    State.PARKED: {
        "status": "SENDING",
        "reason": "该用户今日领取金额超过限制",
        "err_code": "RCVDAMOUNT_LIMIT",
        "last_reach": Reach.PERSON,
        "todo": Todo.ASK,
        "due_at_s": SENT + DAY,
        "asked_at_s": SENT + HOUR,
    },
    State.REJECTED: {
        "tally": Tally(attempts=1, refused=1),
        "evidence": Evidence.UNSTORED,
        "err_code": "OPENID_ERROR",
        "reason": "用户OpenId和公众账号AppID不匹配",
        "status": "NOT_FOUND",
        "asked_at_s": SENT + 5,
        "settled_at_s": SENT + 5,
    },
}


def mixed(rows: int) -> Iterator[Entry]:
    """A campaign as it looks two days later: mostly opened, some of everything else."""
    for n in range(rows):
        row, fen = n + 2, 100 + (n * 37) % 900
        match n % 20:
            case 0:
                yield entry(State.REFUNDED, row=row, fen=fen, refund_amount=fen)
            case 1:
                yield entry(State.ACCEPTED, row=row, fen=fen)
            case 2:
                yield entry(State.REJECTED, row=row, fen=fen)
            case 3:
                yield entry(State.PARKED, row=row, fen=fen)
            case 4:
                yield entry(State.IN_DOUBT, row=row, fen=fen)
            case 5:
                yield entry(State.PLANNED, row=row, fen=fen)
            case 6:
                yield entry(State.REJECTED, row=row, fen=fen, evidence=Evidence.DEAD, status="FAILED",
                            err_code="", reason="发放失败，此请求可能存在风险，已被微信拦截")  # fmt: skip
            case 7:
                yield entry(
                    State.IN_DOUBT, row=row, fen=fen, flag=Flag.STUCK, err_code="SYSTEMERROR", todo=None
                )
            case _:
                opened = SENT + 60 + (n * 7919 % 5000) ** 2 / 300
                yield entry(State.RECEIVED, row=row, fen=fen, rcv_time=beijing_text(opened))
