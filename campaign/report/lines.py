"""The rows and columns of a report, defined once for the workbook, the page, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from campaign.config.model import REHEARSAL, is_loopback
from campaign.domain.bill import NOT_BILLED, Billed
from campaign.domain.campaign import Campaign
from campaign.domain.days import moment_s
from campaign.domain.entry import Entry
from campaign.domain.summary import Summary, back_fen, sent_at_s
from campaign.domain.verdict import (
    STATE_TEXT,
    VERDICT_TEXT,
    Explain,
    Need,
    Verdict,
    deadline_s,
    evidence,
    needs_person,
    verdict,
)
from campaign.text import Text, text

#: Turns a sentence into the reader's language.
Say = Callable[[Text], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a report says about itself."""

    campaign: Campaign
    merchant: str
    #: As every JSON names it: ``rehearsal``, or the host.
    gateway: str
    #: The moment for which deadlines are judged, in Unix seconds.
    made_at_s: float
    #: The language of the sentences, as ``campaign.i18n`` names it.
    lang: str = "en"
    #: Whether JSON and page show openids in full.
    unmask: bool = False
    #: Number and digest of the ledger's last event when the report was made.
    head: tuple[int, str] = (0, "")

    @property
    def rehearsal(self) -> bool:
        """Whether no real money moved: the built-in gateway, or any other on this machine."""
        host = self.gateway.rsplit(":", 1)[0].strip("[]")
        return host == REHEARSAL or is_loopback(host)

    @property
    def title(self) -> str:
        """The campaign's name for people."""
        return self.campaign.title or self.campaign.name


#: On every page of a rehearsal's report, in both languages whatever the reader's.
REHEARSAL_BANNER: Final = "REHEARSAL / 演练"

#: In every chart; money that nobody can account for is red.
COLOURS: Final[Mapping[Verdict, str]] = {
    Verdict.CLAIMED: "#2E7D32",
    Verdict.UNCLAIMED: "#9CCC65",
    Verdict.REFUNDED: "#5C8AC6",
    Verdict.DEAD: "#B0BEC5",
    Verdict.NEVER_SENT: "#78909C",
    Verdict.UNKNOWN: "#C62828",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the sheet with what became of it."""

    entry: Entry
    verdict: Verdict
    need: Need | None
    #: The values of `COLUMNS`, worked out once for all formats.
    values: tuple[Value, ...]
    billed: Billed = NOT_BILLED


class Kind(Enum):
    """How a value is written; see each format."""

    TEXT = auto()
    #: A count.
    COUNT = auto()
    #: Fen in this program, yuan for people.
    MONEY = auto()
    #: Unix seconds in this program, Beijing time for people.
    TIME = auto()


#: Without sentences.
Plain = str | int | float | None
Value = Plain | Text
Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Column(Generic[Source]):
    """One column of the details, made of a row's entry or of its lines in the bills."""

    #: The name in CSV and JSON.
    key: str
    title: Text
    kind: Kind
    #: In characters, wide enough for the usual content in Chinese.
    width: int
    value: Callable[[Source], Value]
    #: What people read in place of a code.
    words: Mapping[Any, Text] | None = None
    #: Whether it is on paper too; the others are for the screen.
    printed: bool = False


def _parameter(name: str) -> Callable[[Entry], Value]:
    return lambda entry: entry.parameters.get(name, "")


def _moment(name: str) -> Callable[[Entry], Value]:
    """WeChat Pay's own time as a moment; its text as it came where that has another form."""

    def value(entry: Entry) -> Value:
        beijing: str = getattr(entry, name)
        try:
            return moment_s(beijing) if beijing else None
        except ValueError:
            return beijing

    return value


_of = attrgetter
ENTRY_COLUMNS: Final[Sequence[Column[Entry]]] = (
    Column("row", text("sheet row"), Kind.COUNT, 8, _of("row"), printed=True),
    Column("re_openid", text("openid"), Kind.TEXT, 31, _of("re_openid"), printed=True),
    Column("total_amount", text("amount (yuan)"), Kind.MONEY, 13, _of("total_amount"), printed=True),
    Column("verdict", text("verdict"), Kind.TEXT, 27, verdict, VERDICT_TEXT, printed=True),
    Column("mch_billno", text("bill number"), Kind.TEXT, 31, _of("mch_billno"), printed=True),
    Column("send_listid", text("WeChat's number"), Kind.TEXT, 31, _of("send_listid"), printed=True),
    Column("sent_at", text("sent"), Kind.TIME, 19, sent_at_s, printed=True),
    Column("rcv_time", text("opened"), Kind.TIME, 19, _moment("rcv_time"), printed=True),
    Column("refund_time", text("came back"), Kind.TIME, 19, _moment("refund_time"), printed=True),
    Column("evidence", text("evidence"), Kind.TEXT, 52, evidence),
    Column(
        "refund_amount",
        text("came back (yuan)"),
        Kind.MONEY,
        14,
        lambda entry: back_fen(entry, verdict(entry)) or None,
    ),
    Column("due_at", text("program acts next"), Kind.TIME, 19, _of("due_at_s")),
    Column("deadline", text("possible until"), Kind.TIME, 19, deadline_s),
    Column("state", text("state"), Kind.TEXT, 20, _of("state"), STATE_TEXT),
    Column("detail_id", text("WeChat's number, when asked"), Kind.TEXT, 31, _of("detail_id")),
    Column("first_sent_at", text("first request"), Kind.TIME, 19, _of("first_sent_at_s")),
    Column("attempts", text("requests"), Kind.COUNT, 9, _of("tally.attempts")),
    Column("asked_at", text("last asked"), Kind.TIME, 19, _of("asked_at_s")),
    Column("status", text("WeChat's last status"), Kind.TEXT, 14, _of("status")),
    Column("err_code", text("error code"), Kind.TEXT, 18, _of("err_code")),
    Column("reason", text("WeChat's words"), Kind.TEXT, 36, _of("reason")),
    Column("sheet", text("sheet"), Kind.TEXT, 14, _of("sheet")),
    Column("row_key", text("row key"), Kind.TEXT, 31, _of("row_key")),
    Column("act_name", text("activity"), Kind.TEXT, 22, _parameter("act_name")),
    Column("send_name", text("sender"), Kind.TEXT, 22, _parameter("send_name")),
    Column("wishing", text("greeting"), Kind.TEXT, 28, _parameter("wishing")),
    Column("remark", text("remark"), Kind.TEXT, 28, _parameter("remark")),
    Column("scene_id", text("scene"), Kind.TEXT, 12, _parameter("scene_id")),
)
#: The last columns: what the funds bills have for the row.
BILL_COLUMNS: Final[Sequence[Column[Billed]]] = (
    Column("billed", text("debit in the bill (yuan)"), Kind.MONEY, 14, _of("paid_fen")),
    Column("billed_at", text("debit in the bill"), Kind.TIME, 19, _of("paid_at_s")),
    Column("billed_back", text("refund in the bill (yuan)"), Kind.MONEY, 14, _of("back_fen")),
    Column("billed_back_at", text("refund in the bill"), Kind.TIME, 19, _of("back_at_s")),
    Column(
        "flow_ids",
        text("flow numbers in the bill"),
        Kind.TEXT,
        34,
        lambda billed: " ".join(line.flow_id for line in billed.lines),
    ),
)
COLUMNS: Final[Sequence[Column[Any]]] = (*ENTRY_COLUMNS, *BILL_COLUMNS)
_PLACE: Final = {column.key: place for place, column in enumerate(COLUMNS)}
#: So many values are remembered with what is written for them.
_REMEMBERED: Final = 2_000
#: The one column that has a sentence.
_EVIDENCE: Final = _PLACE["evidence"]
_VERDICT: Final = _PLACE["verdict"]


def said(line: Line, say: Say) -> list[Plain]:
    """The values of a line, its one sentence in the reader's language."""
    values: list[Any] = list(line.values)
    values[_EVIDENCE] = say(values[_EVIDENCE])
    return values


def in_words(say: Say) -> Callable[[Line], list[Plain]]:
    """Gives the values of a line with words in the reader's language in place of codes, too."""
    words_of = [
        (place, {code: say(words) for code, words in column.words.items()})
        for place, column in enumerate(COLUMNS)
        if column.words is not None
    ]

    def shown(line: Line) -> list[Plain]:
        values: list[Any] = said(line, say)
        for place, words in words_of:
            values[place] = words[values[place]]
        return values

    return shown


class Remembered(dict[Any, str]):
    """value -> how a format writes it.

    Most columns have few different values, and looking one up takes a tenth of the time of writing it out.
    Values that are equal have to be written in the same way.
    """

    def __init__(self, write: Callable[[Any], str]) -> None:
        self._write = write

    def __missing__(self, value: str | float | None) -> str:
        if len(self) >= _REMEMBERED:
            self.clear()
        written = self[value] = self._write(value)
        return written


class Format(Protocol):
    """One file format. Rows come in sheet order, once; the totals are known at the end."""

    def add(self, line: Line) -> None:
        """Take one row."""

    def finish(self, summary: Summary, digest: str) -> None:
        """Take the totals and the digest of all rows, and complete the file."""

    def close(self) -> None:
        """Give the file back, complete or not."""


def line_of(
    entry: Entry,
    *,
    now_s: float,
    explain: Explain,
    issued_again: bool = False,
    cancelled: bool = False,
    billed: Billed = NOT_BILLED,
    found: Need | None = None,
) -> Line:
    """Judge one entry for the report; see `needs_person`."""
    need = needs_person(
        entry, now_s=now_s, explain=explain, issued_again=issued_again, cancelled=cancelled, found=found
    )
    values = [column.value(entry) for column in ENTRY_COLUMNS]
    values += _NOT_BILLED if billed is NOT_BILLED else [column.value(billed) for column in BILL_COLUMNS]
    found_verdict: Any = values[_VERDICT]
    return Line(entry, found_verdict, need, tuple(values), billed)


_NOT_BILLED: Final = [column.value(NOT_BILLED) for column in BILL_COLUMNS]
