"""Between domain objects and the ledger's columns."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from json.encoder import encode_basestring as _quoted
from typing import Any, Final, cast

from campaign.domain.answer import Outcome, Reach
from campaign.domain.billno import nonce_str
from campaign.domain.campaign import Campaign, Halt, HaltReason
from campaign.domain.canonical import canonical_json
from campaign.domain.decision import REPEAT_GAP_S
from campaign.domain.entry import Claim, Entry, Flag, Sending, Tally, Todo
from campaign.domain.finding import Kind
from campaign.domain.occurrences import made_once
from campaign.domain.packet import OWN_PARAMETERS, own_parameters
from campaign.domain.plan import Known
from campaign.domain.state import Evidence, State

Row = Sequence[Any]

#: Selects, or returns, an `entry` for `entry_of`. No join: RETURNING knows one table only.
ENTRY_COLUMNS: Final = (
    "mch_billno, (SELECT name FROM campaign WHERE id = entry.campaign), row_key, issue, sheet, row,"
    " re_openid, total_amount, (SELECT parameters FROM wording WHERE id = entry.wording), nonce_str, own,"
    " state, evidence, flag, attempts, refused, not_sent, held, last_outcome, last_reach, err_code, reason,"
    " todo, due_at_s, not_before_s, first_sent_at_s, last_sent_at_s, not_found_at_s, sending_since_s,"
    " accepted_at_s, settled_at_s, asked_at_s, status, send_listid, detail_id, rcv_time, refund_time,"
    " refund_amount"
)
#: Returns what `sending_of` has to know of an `entry` beside the claim.
SENDING_COLUMNS: Final = "nonce_str, refused, not_sent, held, first_sent_at_s"
KNOWN_COLUMNS: Final = (
    "mch_billno, row_key, issue, re_openid, total_amount, state, evidence, last_reach, attempts > not_sent,"
    " (SELECT parameters FROM wording WHERE id = entry.wording), nonce_str, own, sheet, row, unlisted,"
    " flag IS NOT NULL"
)
CAMPAIGN_COLUMNS: Final = (
    "name, title, key_column, created_at_s, cancelled_at_s, ask_first, sheet_file, sheet_digest,"
    " own_headers, halt, plan_digest"
)
#: The campaign named by the parameter ``campaign``.
CAMPAIGN_ID: Final = "(SELECT id FROM campaign WHERE name = :campaign)"
#: What is kept of a bill's line, in this order.
BILL_LINE: Final = (
    "billed_at_s", "business_no", "flow_id", "business_name", "business_type", "incoming", "fen",
    "balance_fen", "applicant", "note", "voucher_no", "file", "line",
)  # fmt: skip
_INCOMING, _FEN = map(BILL_LINE.index, ("incoming", "fen"))
_MOVED: Final = f"'{Kind.TWO_DEBITS}', '{Kind.DEBIT_UNEXPECTED}', '{Kind.REFUND_UNEXPECTED}'"
#: The lines of what the last match found to have moved against the ledger's word; and what they come to.
MOVED: Final = f"finding JOIN json_each(content, '$.lines') AS line ON content ->> 'kind' IN ({_MOVED})"
CHANGE_FEN: Final = f"SUM(iif(line.value ->> {_INCOMING}, 1, -1) * (line.value ->> {_FEN}))"
_OF_THIS_ROW: Final = "earlier.row_key = entry.row_key AND earlier.issue < entry.issue"
#: Neither an answer nor a bill has contradicted what the row's earlier numbers came to, so that this one may
#: be sent at all.
EARLIER_STAND: Final = f"""(
    issue = 1
    OR NOT EXISTS (SELECT 1 FROM entry AS earlier WHERE earlier.campaign = entry.campaign
                   AND earlier.flag IS NOT NULL AND {_OF_THIS_ROW})
    AND NOT EXISTS (SELECT 1 FROM finding JOIN entry AS earlier USING (mch_billno)
                    WHERE finding.campaign = entry.campaign AND {_OF_THIS_ROW}
                    AND (SELECT {CHANGE_FEN} FROM {MOVED}
                         WHERE finding.campaign = entry.campaign AND mch_billno = earlier.mch_billno) < 0)
)"""
#: From when on a number may be sent again at all.
GAP_OVER: Final = f"COALESCE(last_sent_at_s + {REPEAT_GAP_S}, 0)"
#: Flags that a later answer does not take away.
_STICKY: Final = f"'{Flag.MISMATCH}', '{Flag.OTHER_ID}', '{Flag.CONTRADICTION}'"
FLAG_KEPT: Final = f"flag = CASE WHEN flag IN ({_STICKY}) THEN flag ELSE :flag END"

_NEVER_SENT: Final = frozenset({State.PLANNED, State.CANCELLED})

_NULL: Final = "null"

# Looked up instead of constructed: an enum's call costs ten times as much, a million times.
STATES: Final = {state.value: state for state in State}
_EVIDENCE: Final = {evidence.value: evidence for evidence in Evidence}
_FLAG: Final = {flag.value: flag for flag in Flag}
_TODO: Final = {todo.value: todo for todo in Todo}
_OUTCOME: Final = {outcome.value: outcome for outcome in Outcome}
_REACH: Final = {reach.value: reach for reach in Reach}


def shared_of(entry: Entry) -> dict[str, str]:
    """What the entry's parameters share with others, as `NewEntries` have it."""
    nonce = entry.parameters.get("nonce_str", "")
    own = own_parameters(entry.mch_billno, nonce, entry.re_openid, entry.total_amount)
    return {name: "" if own.get(name) == value else value for name, value in entry.parameters.items()}


def entry_of(row: Row) -> Entry:
    """An `Entry` from `ENTRY_COLUMNS`."""
    return Entry(
        mch_billno=row[0],
        campaign=row[1],
        row_key=row[2],
        issue=row[3],
        sheet=row[4],
        row=row[5],
        re_openid=row[6],
        total_amount=row[7],
        parameters=_wording(row[8]).mapping(row[0], row[9], row[6], row[7]),
        own={} if row[10] == "{}" else json.loads(row[10]),
        state=STATES[row[11]],
        evidence=_EVIDENCE.get(row[12]),
        flag=_FLAG.get(row[13]),
        tally=Tally(attempts=row[14], refused=row[15], not_sent=row[16], held=row[17]),
        last_outcome=_OUTCOME.get(row[18]),
        last_reach=_REACH[row[19]],
        err_code=row[20],
        reason=row[21],
        todo=_TODO.get(row[22]),
        due_at_s=row[23],
        not_before_s=row[24] or None,
        first_sent_at_s=row[25],
        last_sent_at_s=row[26],
        not_found_at_s=row[27],
        sending_since_s=row[28],
        accepted_at_s=row[29],
        settled_at_s=row[30],
        asked_at_s=row[31],
        status=row[32],
        send_listid=row[33],
        detail_id=row[34],
        rcv_time=row[35],
        refund_time=row[36],
        refund_amount=row[37],
    )


def sending_of(claimed: Entry | Claim, wording: str, row: Row) -> Sending:
    """A `Sending` from what was claimed and `SENDING_COLUMNS`: a tenth of the time of an `Entry`."""
    number, openid, fen = claimed.mch_billno, claimed.re_openid, claimed.total_amount
    nonce, refused, not_sent, held, first_sent_at_s = row
    return Sending(
        number,
        claimed.campaign,
        openid,
        fen,
        _wording(wording).mapping(number, nonce, openid, fen),
        Tally(claimed.attempt + 1, refused, not_sent, held),
        first_sent_at_s,
    )


def known_of(row: Row) -> Known:
    """A `Known` from `KNOWN_COLUMNS`."""
    state = STATES[row[5]]
    return Known(
        mch_billno=row[0],
        row_key=row[1],
        issue=row[2],
        re_openid=row[3],
        total_amount=row[4],
        state=state,
        evidence=_EVIDENCE.get(row[6]),
        last_reach=_REACH[row[7]],
        # In doubt without an attempt: another ledger, now lost, may have sent it.
        sent=bool(row[8]) or state not in _NEVER_SENT,
        parameters=_wording(row[9]).text(row[0], row[10], row[3], row[4]),
        own=row[11],
        sheet=row[12],
        row=row[13],
        unlisted=bool(row[14]),
        flagged=bool(row[15]),
    )


def campaign_of(row: Row) -> Campaign:
    """A `Campaign` from `CAMPAIGN_COLUMNS`."""
    return Campaign(
        name=row[0],
        title=row[1],
        key_column=row[2],
        created_at_s=row[3],
        cancelled_at_s=row[4],
        ask_first=bool(row[5]),
        sheet_file=row[6],
        sheet_digest=row[7],
        own_headers=() if row[8] == "[]" else tuple(json.loads(row[8])),
        halt=None if row[9] is None else _halt(json.loads(row[9])),
        plan_digest=row[10],
    )


def halt_json(halt: Halt) -> str:
    """The text under which a halt is stored."""
    return canonical_json(
        {
            "reason": halt.reason,
            "err_code": halt.err_code,
            "until_s": halt.until_s,
            "missing_fen": halt.missing_fen,
        }
    )


def _halt(stored: dict[str, Any]) -> Halt:
    return Halt(
        reason=HaltReason(stored["reason"]),
        err_code=stored["err_code"],
        until_s=stored["until_s"],
        missing_fen=stored["missing_fen"],
    )


class _Wording:
    """The parameters that many entries share, "" in place of the others, ready to be completed with those."""

    def __init__(self, stored: str) -> None:
        self._shared: dict[str, str] = json.loads(stored)
        self._holes = [name for name in OWN_PARAMETERS if self._shared.get(name) == ""]
        # In JSON a quote inside a value is escaped, so the pattern can only be the member itself.
        self._pieces, rest = [], stored
        for name in self._holes:
            before, _, rest = rest.partition(f'"{name}":""')
            self._pieces.append(f'{before}"{name}":')
        self._rest = rest

    def mapping(self, mch_billno: str, nonce: str, re_openid: str, total_amount: int) -> dict[str, str]:
        """All parameters of one entry; one that has no nonce of its own has that of its number."""
        own = own_parameters(mch_billno, nonce or nonce_str(mch_billno), re_openid, total_amount)
        if len(self._holes) < len(own):
            own = {name: own[name] for name in self._holes}
        return self._shared | own

    def text(self, mch_billno: str, nonce: str, re_openid: str, total_amount: int) -> str:
        """`canonical_json` of `mapping`, without building it."""
        own = own_parameters(mch_billno, nonce or nonce_str(mch_billno), re_openid, total_amount)
        values = (_quoted(own[name]) for name in self._holes)
        return "".join(p + v for p, v in zip(self._pieces, values, strict=True)) + self._rest


@lru_cache(maxsize=256)
def _wording(stored: str) -> _Wording:
    return _Wording(stored)


# Answers are kept as they came. They resemble each other, so a preset dictionary makes 60 bytes of 550,
# in 5 µs; without it 240 bytes cost 40 µs. The dictionary is frozen: it is needed to read them again.

_DEFLATED: Final = b"\x01"
_PLAIN: Final = b"\x00"
_WINDOW_BITS: Final = -12
_TYPICAL: Final = (
    "<hblist>\n<hbinfo>\n<openid><![CDATA[o]]></openid>\n<amount></amount>\n<rcv_time><![CDATA[20-- ::]]>"
    "</rcv_time>\n</hbinfo>\n</hblist>\n<refund_time><![CDATA[20]]></refund_time>\n<refund_amount></refund_amount>"
    "<reason><![CDATA[]]></reason>\n<status><![CDATA[FAILED]]></status><![CDATA[RFUND_ING]]><![CDATA[REFUND]]>"
    "<![CDATA[SENDING]]><![CDATA[SYSTEMERROR]]><![CDATA[PROCESSING]]><![CDATA[NOT_FOUND]]><![CDATA[NOTENOUGH]]>"
    "<![CDATA[帐号余额不足，请到商户平台充值后再重试]]><![CDATA[FAIL]]>"
    "<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n<return_msg><![CDATA[OK]]></return_msg>\n"
    "<result_code><![CDATA[SUCCESS]]></result_code>\n<err_code><![CDATA[SUCCESS]]></err_code>\n"
    "<err_code_des><![CDATA[OK]]></err_code_des>\n<mch_billno><![CDATA[1]]></mch_billno>\n"
    "<mch_id><![CDATA[1]]></mch_id>\n<detail_id><![CDATA[100004170120]]></detail_id>\n"
    "<status><![CDATA[RECEIVED]]></status>\n<status><![CDATA[SENT]]></status>\n"
    "<send_type><![CDATA[API]]></send_type>\n<hb_type><![CDATA[NORMAL]]></hb_type>\n"
    "<total_num>1</total_num>\n<total_amount>1</total_amount>\n<send_time><![CDATA[20-- ::]]></send_time>\n"
    "<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n<return_msg><![CDATA[发放成功]]></return_msg>\n"
    "<result_code><![CDATA[SUCCESS]]></result_code>\n<err_code><![CDATA[SUCCESS]]></err_code>\n"
    "<err_code_des><![CDATA[发放成功]]></err_code_des>\n<mch_billno><![CDATA[1]]></mch_billno>\n"
    "<mch_id><![CDATA[1]]></mch_id>\n<wxappid><![CDATA[wx]]></wxappid>\n<re_openid><![CDATA[o]]></re_openid>\n"
    "<total_amount>1</total_amount>\n<send_listid><![CDATA[100004170120]]></send_listid>\n</xml>"
).encode()

#: Has read the dictionary, a sixth of the work; copied for each answer.
_DEFLATE: Final = zlib.compressobj(2, zlib.DEFLATED, _WINDOW_BITS, 3, zlib.Z_DEFAULT_STRATEGY, _TYPICAL)


def packed(raw: bytes) -> bytes:
    """An answer's body for storing; empty stays empty."""
    if not raw:
        return b""
    deflate = _DEFLATE.copy()
    small = deflate.compress(raw) + deflate.flush()
    return _DEFLATED + small if len(small) < len(raw) else _PLAIN + raw


def unpacked(stored: bytes) -> bytes:
    """An answer's body as it came.

    Raises:
        zlib.error: it was altered, or cut off.
    """
    if stored[:1] != _DEFLATED:
        return stored[1:]
    inflate = zlib.decompressobj(_WINDOW_BITS, zdict=_TYPICAL)
    plain = inflate.decompress(stored[1:]) + inflate.flush()
    if not inflate.eof:
        raise zlib.error("cut off")
    return plain


def packed_together(bodies: Sequence[bytes]) -> bytes | None:
    """Several answers' bodies for storing, at a quarter of the cost of one each; None if all are empty."""
    if not any(bodies):
        return None
    return packed(json.dumps([len(body) for body in bodies]).encode() + b"\n" + b"".join(bodies))


def unpacked_together(stored: bytes) -> list[bytes]:
    """The bodies as they came, in their order."""
    lengths, _, bodies = unpacked(stored).partition(b"\n")
    ends = list(accumulate(json.loads(lengths), initial=0))
    return [bodies[start:end] for start, end in pairwise(ends)]


def event_digest(
    link: bytes,
    campaign: str,
    mch_billno: str,
    at_s: float,
    kind: str,
    before: str | None,
    after: str | None,
    facts: str,
) -> bytes:
    """The link of the event chain: BLAKE2b over the digest before it and this event's canonical form."""
    # A JSON list, put together by hand: a tenth of the time of an encoder's call.
    event = (
        f"[{_quoted(campaign)},{_quoted(mch_billno)},{at_s!r},{_quoted(kind)},"
        f"{_NULL if before is None else _quoted(before)},{_NULL if after is None else _quoted(after)},"
        f"{_quoted(facts)}]"
    )
    return hashlib.blake2b(link + event.encode(), digest_size=16).digest()


#: What planning gives an entry, beside its campaign and its wording, in the order of `planned_check`.
PLANNED_COLUMNS: Final = (
    "seq, mch_billno, row_key, issue, sheet, row, re_openid, total_amount, nonce_str, own"
)
#: Digits of a `planned_check`.
CHECK_DIGITS: Final = 16


def planned_check(campaign: str, wording: str, planned: Row) -> str:
    """A digest over what planning gave an entry, kept by its event: tells an altered row from a whole one.

    Args:
        wording: its wording's JSON.
        planned: `PLANNED_COLUMNS`.
    """
    check = _check_begun(campaign, wording).copy()
    # What is planned has no NUL in it, so nothing else reads like this.
    check.update("\0".join(map(str, planned)).encode())
    return check.hexdigest()


def planned_checks(campaign: str, wordings: Sequence[str], *columns: Sequence[object]) -> str:
    """The `planned_check` of many entries, one behind the other.

    Args:
        wordings: as there, one for each entry.
        columns: each of `PLANNED_COLUMNS` with the values of all entries, all texts or all numbers.
    """
    *facts, owns = (
        cast("Sequence[str]", column) if isinstance(column[0], str) else map(str, column)
        for column in columns
    )
    begun = made_once(partial(_check_begun, campaign), wordings)
    # The own columns apart: as a rule the only text that is not ASCII, they would make all of it twice as
    # slow to encode.
    ended = map("\0".join, zip(*facts, [""] * len(wordings), strict=True))
    checks = []
    for start, fact, own in zip(begun, ended, owns, strict=True):
        check = start.copy()
        check.update(fact.encode())
        check.update(own.encode())
        checks.append(check.digest())
    return b"".join(checks).hex()


@lru_cache(maxsize=256)
def _check_begun(campaign: str, wording: str) -> hashlib.blake2b:
    """What the facts of many entries begin with; to be copied, never updated."""
    begun = f"{campaign}\0{wording_digest(wording).hex()}\0"
    return hashlib.blake2b(begun.encode(), digest_size=CHECK_DIGITS // 2)


@lru_cache(maxsize=2000)
def wording_digest(stored: str) -> bytes:
    """The digest under which a wording's JSON is stored."""
    return hashlib.blake2b(stored.encode(), digest_size=16).digest()


def detail_json(detail: Mapping[str, object]) -> str:
    """An event's facts as text."""
    return canonical_json(detail) if detail else "{}"
