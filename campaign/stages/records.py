"""Sent packets as records, in the schema of R9.1, and one packet's status asked for now.

Yuan are floats here and nowhere else: the schema has it so. Each is the float nearest to the amount's own
decimal text, so no arithmetic is ever done on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from campaign.domain.answer import Reach, Status
from campaign.domain.billno import BILLNO_LENGTH
from campaign.domain.days import HOUR_S
from campaign.domain.mask import mask_inside, mask_openid
from campaign.domain.money import yuan_text
from campaign.domain.state import OPEN, State
from campaign.errors import NotFinished, UsageError
from campaign.ledger.records import SentPacket
from campaign.ledger.store import Ledger
from campaign.stages.shift import Asked, Desk, ask, ask_all, judged, keep_answers
from campaign.text import text
from campaign.wechat.answers import refused_settings
from campaign.wechat.envelope import HBLIST, Malformed, flat, from_xml

LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 1000
#: A packet goes back after 24 h (R6): this leaves four to remind whoever did not open it.
UNCLAIMED_AFTER_S: Final = 20 * HOUR_S

Record = dict[str, Any]

_ID_MAX: Final = 2**63 - 1
_OPENID_ELEMENT: Final = re.compile(r"(<(?:re_)?openid>\s*+(?:<!\[CDATA\[)?+\s*+)([^\s<\]]+)", re.IGNORECASE)


def list_records(
    ledger: Ledger | None,
    *,
    limit: int = LIMIT_DEFAULT,
    offset: int = 0,
    campaign: str | None = None,
    unclaimed_at_s: float | None = None,
    unmask: bool = False,
) -> Record:
    """A page of the sent records, oldest first: ``meta`` and ``objects``.

    Args:
        campaign: only that one's.
        unclaimed_at_s: only packets that nobody has opened at this moment: taken at least 20 hours before
            and still waiting, or gone back and not paid again.

    Raises:
        UsageError: limit or offset is out of range.
    """
    if not 1 <= limit <= LIMIT_MAX or not 0 <= offset <= _ID_MAX:
        raise UsageError(
            text("limit goes from 1 to {most}, and offset from 0 on.", most=LIMIT_MAX),
            advice=text("Take the pages one after another: meta.next names the next one."),
        )
    since_s = None if unclaimed_at_s is None else unclaimed_at_s - UNCLAIMED_AFTER_S
    count, packets = 0, list[SentPacket]()
    if ledger is not None:
        count = ledger.count_sent_packets(campaign=campaign, unclaimed_since_s=since_s)
        packets = ledger.sent_packets(
            limit=limit, offset=offset, campaign=campaign, unclaimed_since_s=since_s
        )
    return {
        "meta": {
            "limit": limit,
            "next": _page(limit, offset + limit) if offset + limit < count else None,
            "offset": offset,
            "previous": _page(limit, max(0, offset - limit)) if offset else None,
            "total_count": count,
        },
        "objects": [record_of(packet, unmask=unmask) for packet in packets],
    }


def ask_unclaimed(desk: Desk, *, limit: int, offset: int, campaign: str | None, now_s: float) -> int:
    """Ask about the packets of a page of the unclaimed, so that nobody is reminded of what he has opened.

    Whoever opened his packet meanwhile leaves the page and others move up: they are asked, too.

    Returns:
        how many gave no clear answer.

    Raises:
        SetupError: WeChat Pay refuses the questions for the settings' sake.
        KeyboardInterrupt: somebody asked us to stop.
    """
    clear: dict[str, bool] = {}

    def book(batch: Sequence[Asked]) -> None:
        at_s = desk.clock.now_s()
        desk.ledger.end_queries(
            [judged(asked, now_s=at_s, run_started_s=now_s, policy=desk.policy) for asked in batch], at_s
        )

    while True:
        page = desk.ledger.sent_packets(
            limit=limit, offset=offset, campaign=campaign, unclaimed_since_s=now_s - UNCLAIMED_AFTER_S
        )
        waiting = [packet.entry for packet in page if packet.entry.state in OPEN]
        todo = [entry for entry in waiting if entry.mch_billno not in clear]
        if not todo:
            return sum(not clear[entry.mch_billno] for entry in waiting)
        answers = ask_all(desk, todo, book=book)
        for entry in todo:
            asked = answers.get(entry.mch_billno)
            clear[entry.mch_billno] = asked is not None and asked.answer.status is not None


def find_packet(ledger: Ledger | None, number_or_id: str) -> SentPacket:
    """The packet of a bill number or a record's id.

    Raises:
        UsageError: the ledger has none.
    """
    found = None
    if ledger is not None and len(number_or_id) == BILLNO_LENGTH:
        found = ledger.sent_packet(mch_billno=number_or_id)
    elif ledger is not None and re.fullmatch("[0-9]{1,19}", number_or_id) and int(number_or_id) <= _ID_MAX:
        found = ledger.sent_packet(id=int(number_or_id))
    if found is None:
        raise UsageError(
            text("This ledger has no record {id}.", id=repr(number_or_id)),
            advice=text("`campaign records list` shows the bill numbers and ids of all of them."),
        )
    return found


def record_of(packet: SentPacket, *, unmask: bool = False) -> Record:
    """One record (R9.1). ``status`` is WeChat Pay's last word, ``raw_result`` its answer to the request: None
    where somebody or something altered that in the ledger.
    """
    entry, parameters = packet.entry, packet.entry.parameters
    raw = None if packet.raw is None else packet.raw.decode("utf-8", errors="replace")
    return {
        "id": packet.id,
        "pk": packet.id,
        "type": "normal",
        "official_account_id": parameters.get("wxappid", ""),
        "miniapp_id": None,
        "re_openid": entry.re_openid if unmask else mask_openid(entry.re_openid),
        "send_name": parameters.get("send_name", ""),
        "act_name": parameters.get("act_name", ""),
        "remark": parameters.get("remark", ""),
        "wishing": parameters.get("wishing", ""),
        "scene_id": parameters.get("scene_id"),
        "risk_info": parameters.get("risk_info"),
        "amt_type": None,
        "total_amount": float(yuan_text(entry.total_amount)),
        "total_num": 1,
        "mch_billno": entry.mch_billno,
        "status": entry.status or None,
        "created_at": int(packet.created_at_s),
        "updated_at": int(packet.updated_at_s),
        "raw_result": raw if raw is None or unmask else masked_xml(raw, entry.re_openid),
        "result": {
            "mch_billno": entry.mch_billno,
            "send_listid": entry.send_listid,
            "return_code": _fields(packet.raw or b"").get("return_code"),
        },
        "campaign": entry.campaign,
        # The row key is the openid, or begins with it, where the sheet has no id column.
        "reference": entry.row_key if unmask else mask_inside(entry.row_key, entry.re_openid),
        "state": entry.state.value,
        "err_code": entry.err_code,
        "asked_at": None if entry.asked_at_s is None else int(entry.asked_at_s),
    }


def ask_status(desk: Desk, packet: SentPacket, *, unmask: bool = False) -> Record:
    """Ask what became of a packet now: WeChat Pay's answer, flattened, as text and in fen (R3.2, R9.1).

    The ledger learns from it as from any question.

    Raises:
        NotFinished: no clear answer came.
        SetupError: WeChat Pay refuses the question for the settings' sake.
    """
    entry, started_s = packet.entry, desk.clock.now_s()
    asked = ask(desk, entry)
    now_s = desk.clock.now_s()
    if entry.state in OPEN:
        result = judged(asked, now_s=now_s, run_started_s=started_s, policy=desk.policy)
        desk.ledger.end_query(result, now_s)
    else:
        keep_answers(desk.ledger, [asked], now_s=now_s)
        unsent = entry.state in (State.PLANNED, State.CANCELLED)
        if unsent and asked.answer.status not in (None, Status.NOT_FOUND):
            desk.ledger.set_ask_first(entry.campaign, now_s)  # it left, and this ledger is behind the truth
    answer = asked.answer
    if answer.reach is Reach.ABORT:
        raise refused_settings(answer.err_code)
    if answer.status is None:
        raise NotFinished(
            text(
                "WeChat Pay gave no clear answer about {number}: {words}.",
                number=entry.mch_billno,
                words=" ".join(filter(None, (answer.err_code, answer.err_code_des))) or "-",
            ),
            advice=text("Ask again in a minute; nothing was changed."),
        )
    fields = from_xml(answer.raw)
    status: Record = {
        name: value if unmask else mask_inside(value, entry.re_openid) for name, value in flat(fields).items()
    }
    if answer.status is not Status.NOT_FOUND:
        status["status"] = answer.status.value  # in its right spelling (R4)
    if isinstance(claims := fields.get(HBLIST), list):
        status[HBLIST] = claims if unmask else [_masked_claim(claim) for claim in claims]
    return status


def masked_xml(xml: str, re_openid: str) -> str:
    """An answer's text without full openids, however broken it is."""
    xml = _OPENID_ELEMENT.sub(lambda found: found[1] + mask_openid(found[2]), xml)
    return mask_inside(xml, re_openid)


def _masked_claim(claim: Mapping[str, str]) -> dict[str, str]:
    return {name: mask_openid(value) if name == "openid" else value for name, value in claim.items()}


def _fields(raw: bytes) -> dict[str, str]:
    try:
        return flat(from_xml(raw))
    except Malformed:
        return {}


def _page(limit: int, offset: int) -> str:
    return f"?limit={limit}&offset={offset}"
