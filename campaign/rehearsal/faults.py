"""What can go wrong at the stand-in, on demand and by seed.

A document names each fault and whom it strikes::

    {"reset_after": 0.05,
     "openid_error": {"openids": ["oWrong"]},
     "no_auth": {"from_position": 100},
     "slow": [{"share": 0.1, "delay_s": 2}, {"positions": [7], "delay_s": 20}]}

A plain number is a share of the requests. Every condition that a rule names must hold. Whether a share
strikes is a pure function of the seed, the bill number and the how-many-th request for that number it
is, so a seed that failed fails again, in whatever order the requests arrive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from campaign.errors import SetupError
from campaign.text import Text, text


class Phase(StrEnum):
    """When a fault acts; of each phase at most one fault strikes a request, the first that is listed."""

    #: The request is not even looked at.
    BEFORE = "before"
    #: The rules decide as if the world were so.
    RULING = "ruling"
    #: The rules were applied, and their answer does not arrive as it should.
    ANSWER = "answer"
    DELAY = "delay"


SENDS: Final = frozenset({"sendredpack", "sendminiprogramhb"})
QUERIES: Final = frozenset({"gethbinfo"})
EVERYTHING: Final = SENDS | QUERIES


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can go wrong."""

    phase: Phase
    says: Text
    endpoints: frozenset[str] = EVERYTHING
    #: Once the fault is over, the same number is, or can still be, paid.
    payable: bool = True


def _before(says: Text) -> Kind:
    return Kind(Phase.BEFORE, says)


def _answer(says: Text, endpoints: frozenset[str] = EVERYTHING) -> Kind:
    return Kind(Phase.ANSWER, says, endpoints)


def _ruling(says: Text, endpoints: frozenset[str] = SENDS, *, payable: bool = True) -> Kind:
    return Kind(Phase.RULING, says, endpoints, payable)


#: Every fault by name, in the order in which the help lists them.
KINDS: Final[dict[str, Kind]] = {
    # the way there
    "refused": _before(
        text("the connection is refused (over HTTPS it is reset before anything is processed)")
    ),
    "reset_before": _before(text("connection reset, nothing processed")),
    "http_502_before": _before(text("HTTP 502, nothing processed")),
    # what WeChat Pay decides
    "systemerror": _ruling(text("SYSTEMERROR, nothing stored"), EVERYTHING),
    "unknown_code": _ruling(text("an err_code that no list has, nothing stored"), EVERYTHING),
    "freq_limit": _ruling(text("FREQ_LIMIT, nothing stored"), EVERYTHING),
    "no_auth": _ruling(text("NO_AUTH; the order may be held as SENDING with a reason"), EVERYTHING),
    "ca_error": _ruling(text("CA_ERROR, nothing stored"), EVERYTHING),
    "sign_error": _ruling(text("SIGN_ERROR, nothing stored"), EVERYTHING),
    "illegal_appid": _ruling(text("ILLEGAL_APPID, nothing stored")),
    "api_method_closed": _ruling(text("API_METHOD_CLOSED, nothing stored")),
    "payer_account_abnormal": _ruling(text("PAYER_ACCOUNT_ABNORMAL, nothing stored")),
    "openid_error": _ruling(
        text("OPENID_ERROR, nothing stored: an openid of another account"), payable=False
    ),
    "notenough": _ruling(text("NOTENOUGH, always or while the balance is below balance_fen; may be held")),
    "sendnum_limit": _ruling(text("SENDNUM_LIMIT: the person had too many packets today; may be held")),
    "rcvdamount_limit": _ruling(text("RCVDAMOUNT_LIMIT: the person had too much today; may be held")),
    "sendamount_limit": _ruling(text("SENDAMOUNT_LIMIT: the merchant sent too much today; may be held")),
    "second_over_limited": _ruling(
        text("SECOND_OVER_LIMITED, the older word for FREQ_LIMIT, nothing stored")
    ),
    "day_over_limited": _ruling(text("DAY_OVER_LIMITED, nothing stored")),
    "processing": _ruling(
        text("PROCESSING; paid by itself after delay_s, 600 unless given"), frozenset({"sendredpack"})
    ),
    "processing_unpaid": _ruling(text("PROCESSING; paid only when the same number is sent again")),
    "held": _ruling(
        text("taken, but then SENDING with a reason; paid only when the same number is sent again")
    ),
    "failed_later": _ruling(text("taken, FAILED some minutes later; the number is dead"), payable=False),
    "send_failed": _ruling(
        text("SEND_FAILED; the order is stored as FAILED, the number is dead"), payable=False
    ),
    "repeat_refused": _ruling(text("the repeat of a paid number is answered SEND_FAILED")),
    "not_found": _ruling(text("the question is answered NOT_FOUND although the order exists"), QUERIES),
    "not_found_systemerror": _ruling(
        text("the question is answered with return_code FAIL and SYSTEMERROR, as one page has it"), QUERIES
    ),
    # the way back; whatever the rules decided has happened, payment included
    "answer_lost": _answer(text("processed, never answered: the client runs into its timeout")),
    "reset_after": _answer(text("processed, then the connection is reset")),
    "http_500_after": _answer(text("processed, then HTTP 500")),
    "systemerror_paid": _answer(text("processed and paid, but answered SYSTEMERROR"), SENDS),
    "unknown_code_paid": _answer(
        text("processed and paid, but answered with an err_code that no list has"), SENDS
    ),
    "return_code_fail": _answer(text("processed, but answered return_code FAIL with a numeric err_code")),
    "truncated": _answer(text("the answer's XML ends in the middle")),
    "cut": _answer(text("the connection ends in the middle of the answer")),
    "empty": _answer(text("an empty answer")),
    "html": _answer(text("an HTML page instead of the answer")),
    "not_utf8": _answer(text("bytes that are no UTF-8")),
    "wrong_charset": _answer(text("the answer in GBK, and it says so")),
    "doctype": _answer(text("the answer with a document type and an entity")),
    "huge": _answer(text("an answer of two megabytes")),
    "wrong_billno": _answer(text("the answer speaks of another bill number")),
    "wrong_amount": _answer(text("the answer speaks of another amount")),
    "wrong_openid": _answer(text("the answer speaks of another openid"), SENDS),
    "odd_shape": _answer(text("a correct answer with fields added, reordered, bare or empty, after a BOM")),
    "other_detail_id": _answer(text("detail_id differs from send_listid"), QUERIES),
    "no_claims": _answer(text("RECEIVED without saying by whom and when"), QUERIES),
    "unknown_status": _answer(text("a status that no list has"), QUERIES),
    "refund_ing": _answer(text("RFUND_ING spelled REFUND_ING"), QUERIES),
    "slow": Kind(Phase.DELAY, text("processed at once, answered after delay_s, 1 unless given")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault and whom it strikes; every condition that is given must hold."""

    kind: str
    #: Probability of each request, 0 to 1.
    share: float = 1.0
    #: The how-many-th bill numbers to be sent, from 1.
    positions: frozenset[int] = frozenset()
    from_position: int = 0
    to_position: int = 0
    openids: frozenset[str] = frozenset()
    mch_billnos: frozenset[str] = frozenset()
    #: Only the first N requests of a number at the endpoint.
    attempts_max: int = 0
    #: ``sendredpack``, ``gethbinfo`` …; empty is every endpoint that can have the fault.
    endpoint: str = ""
    #: Seconds, for `slow` and `processing`.
    delay_s: float | None = None
    #: Fen, for `notenough`.
    balance_fen: int | None = None
    #: For `held` and the other orders that are kept unpaid; a text of WeChat Pay's unless given.
    reason: str = ""
    #: Makes two rules of one kind draw apart.
    salt: str = field(default="", repr=False)

    def strikes(self, request: Subject, seed: int) -> bool:
        """Whether this request meets the fault."""
        if request.endpoint not in KINDS[self.kind].endpoints:
            return False
        if self.endpoint and request.endpoint != self.endpoint:
            return False
        if self.positions and request.position not in self.positions:
            return False
        if self.from_position and request.position < self.from_position:
            return False
        if self.to_position and not 0 < request.position <= self.to_position:
            return False
        if self.openids and request.re_openid not in self.openids:
            return False
        if self.mch_billnos and request.mch_billno not in self.mch_billnos:
            return False
        if self.attempts_max and request.ordinal > self.attempts_max:
            return False
        if self.balance_fen is not None and request.balance_fen >= self.balance_fen:
            return False
        if self.share >= 1:
            return True
        drawn = draw(seed, self.kind, self.salt, request.endpoint, request.mch_billno, str(request.ordinal))
        return drawn < self.share


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a fault may depend on."""

    endpoint: str
    mch_billno: str
    re_openid: str = ""
    #: As in `books.Visit`.
    position: int = 0
    ordinal: int = 1
    balance_fen: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """The faults that strike one request, one a phase."""

    before: Rule | None = None
    ruling: Rule | None = None
    answer: Rule | None = None
    delay: Rule | None = None

    def __str__(self) -> str:
        return " ".join(rule.kind for rule in (self.before, self.ruling, self.answer, self.delay) if rule)


NO_STRIKE: Final = Strike()


@dataclass(frozen=True, slots=True)
class Faults:
    """All rules in force."""

    rules: tuple[Rule, ...] = ()

    def strike(self, request: Subject, seed: int) -> Strike:
        """Which faults meet a request."""
        struck: dict[str, Rule] = {}
        for rule in self.rules:
            phase = KINDS[rule.kind].phase.value
            if phase not in struck and rule.strikes(request, seed):
                struck[phase] = rule
        return Strike(**struck) if struck else NO_STRIKE

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> Faults:
        """Read a document of the form shown at the top of this module.

        Raises:
            SetupError: names the fault and the entry that is wrong.
        """
        rules = []
        for kind, value in document.items():
            if kind not in KINDS:
                raise _wrong(text("There is no fault {fault}.", fault=kind))
            entries = value if isinstance(value, list) else [value]
            rules += [_rule(kind, entry, salt=str(i)) for i, entry in enumerate(entries)]
        return cls(tuple(rules))

    @classmethod
    def read(cls, source: str | Path | Mapping[str, object]) -> Faults:
        """Read faults from a mapping, a JSON text that begins with ``{``, or a JSON file.

        Raises:
            SetupError: the file cannot be read, is not JSON, or `parse` refuses it.
        """
        if isinstance(source, Mapping):
            return cls.parse(source)
        name = str(source)
        content, origin = name, "--faults"
        if not name.lstrip().startswith("{"):
            origin = name
            try:
                content = Path(name).read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                raise _wrong(text("The faults file {file} cannot be read.", file=name)) from None
        try:
            document = json.loads(content)
        except ValueError as error:
            raise _wrong(text("{origin} is not JSON: {cause}.", origin=origin, cause=str(error))) from None
        if not isinstance(document, dict):
            raise _wrong(text("{origin} must hold one JSON object.", origin=origin))
        return cls.parse(document)


def draw(seed: int, *parts: str) -> float:
    """A number in [0, 1) that depends on the seed and the parts alone."""
    digest = hashlib.blake2b(
        "\0".join((str(seed), *parts)).encode("utf-8", "replace"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _rule(kind: str, entry: object, *, salt: str) -> Rule:
    if isinstance(entry, (int, float)) and not isinstance(entry, bool):
        entry = {"share": entry}
    if not isinstance(entry, Mapping):
        raise _wrong(text("The fault {fault} needs a share from 0 to 1, or an object.", fault=kind))
    values: dict[str, Any] = {}
    for name, value in entry.items():
        if name not in _READERS:
            raise _wrong(text("The fault {fault} has no entry {name}.", fault=kind, name=str(name)))
        read = _READERS[name](value)
        if read is None:
            raise _wrong(
                text("The fault {fault}: {name} cannot be {value}.", fault=kind, name=name, value=repr(value))
            )
        values[name] = read
    endpoint = values.get("endpoint", "")
    if endpoint and endpoint not in KINDS[kind].endpoints:
        raise _wrong(text("The fault {fault} cannot strike {endpoint}.", fault=kind, endpoint=endpoint))
    return Rule(kind=kind, salt=salt, **values)


def _wrong(message: Text) -> SetupError:
    return SetupError(
        message, advice=text("`campaign rehearsal serve --help` lists the faults and their entries.")
    )


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        return None
    return float(value)


def _whole(value: object, least: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= least else None


def _texts(value: object) -> frozenset[str] | None:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        return None
    return frozenset(value)


def _wholes(value: object) -> frozenset[int] | None:
    if not isinstance(value, list) or not value or any(_whole(item, 1) is None for item in value):
        return None
    return frozenset(value)


#: A rule's entries -> how each is read; None means refused.
_READERS: Final[dict[str, Any]] = {
    "share": lambda value: _number(value, 0, 1),
    "positions": _wholes,
    "from_position": lambda value: _whole(value, 1),
    "to_position": lambda value: _whole(value, 1),
    "openids": _texts,
    "mch_billnos": _texts,
    "attempts_max": lambda value: _whole(value, 1),
    "endpoint": lambda value: value if isinstance(value, str) and value in EVERYTHING else None,
    "delay_s": lambda value: _number(value, 0, 86400 * 30),
    "balance_fen": lambda value: _whole(value, 0),
    "reason": lambda value: value if isinstance(value, str) else None,
}
assert set(_READERS) == {f.name for f in fields(Rule)} - {"kind", "salt"}
