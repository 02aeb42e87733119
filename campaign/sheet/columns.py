"""Which column is what: header aliases in English and Chinese, and the settings' ``[columns]`` for the rest.

Whether amounts are yuan or fen is decided by the header or the settings, never by looking at the values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from campaign.errors import SetupError, SheetRejected
from campaign.sheet.cells import Cell, is_empty, text_of
from campaign.text import Text, text

#: The fields of a row, by the names that ``[columns]`` uses.
FIELDS: Final = (
    "re_openid",
    "amount_yuan",
    "amount_fen",
    "id",
    "wishing",
    "remark",
    "act_name",
    "send_name",
    "scene_id",
    "risk_info",
)
#: ``[columns]`` may also say that a column is the operator's own, whatever its header looks like.
IGNORE: Final = "ignore"
#: The columns of sheets that we wrote; together they alone give a row's number (architecture, section 3).
TIE_FIELDS: Final = ("campaign", "row_key", "issue", "check")

#: So begin the headers of the columns that we add to an operator's own workbook (`annotate`) …
ANNOTATION: Final = "campaign · "
#: … and so the one with the numbers. It ends with the campaign's name, so the copy may be run, too; one
#: that lost more than its looks does not name it, and is refused.
NUMBERED: Final = f"{ANNOTATION}mch_billno · "


def _words(words: str) -> list[str]:
    return words.split()


_UNITS_YUAN: Final = ["", *_words("元 人民币 人民币元 单位元 rmb cny yuan ¥ inyuan")]
_UNITS_FEN: Final = _words("分 fen infen 单位分")
_AMOUNTS: Final = _words("金额 红包金额 发放金额 发送金额 单个金额 奖励金额 amount redpacketamount")
#: By `header_key`: without case, blanks, brackets and underscores.
_ALIASES: Final[Mapping[str, Sequence[str]]] = {
    "re_openid": _words(
        "openid reopenid useropenid wechatopenid wxopenid recipientopenid receiveropenid "
        "用户openid 微信openid 接收openid 收款openid 领取人openid 收款人openid 接收人openid 接收者openid "
        "粉丝openid 公众号openid 用户标识openid openid用户标识 openid必填"
    ),
    "amount_yuan": [
        *(base + unit for base in _AMOUNTS for unit in _UNITS_YUAN),
        *_words("yuan totalamountyuan totalamount元"),
    ],
    "amount_fen": [
        *(base + unit for base in (*_AMOUNTS, "付款金额", "总金额") for unit in _UNITS_FEN),
        *_words("totalamount totalamountfen totalamount分 fen"),
    ],
    "id": _words(
        "id 业务单号 编号 单号 业务编号 业务id 订单号 订单编号 外部单号 流水号 orderid orderno reference ref"
    ),
    "wishing": _words("wishing wish greeting 祝福语 祝福 祝福语内容 红包祝福语 祝福词"),
    "remark": _words("remark remarks 备注 备注信息 红包备注"),
    "act_name": _words("actname activityname 活动名称 活动名 红包活动名称"),
    "send_name": _words("sendname sendername 商户名称 发送者 发送者名称 发送方 发送方名称 红包发送者名称"),
    "scene_id": _words("sceneid scene 场景 场景id 红包场景 发放场景 使用场景"),
    "risk_info": _words("riskinfo 风控信息 活动信息"),
    "campaign": ["campaign"],
    "row_key": ["rowkey"],
    "issue": ["issue"],
    "check": ["check"],
}
#: Columns that ask for another kind of packet (R1, R2.5, R2.6).
_KIND_ALIASES: Final[Mapping[str, Sequence[str]]] = {
    "hb_type": _words("hbtype 红包类型 redpacktype redpackettype"),
    "type": _words("type 类型"),
    "total_num": _words("totalnum 红包个数 发放人数 红包发放总人数 总人数"),
    "amt_type": _words("amttype 红包金额设置方式"),
    "notify_way": _words("notifyway 通知用户形式"),
}
_FIELD_OF: Final = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_KIND_OF: Final = {alias: name for name, aliases in _KIND_ALIASES.items() for alias in aliases}
#: The traditional characters of the aliases above, as Taiwan and Hong Kong write them.
_SIMPLIFIED: Final = str.maketrans(
    "額紅發單個獎勵編號業務訂備註動稱場險語領戶幣類詞標識",
    "额红发单个奖励编号业务订备注动称场险语领户币类词标识",
)
_DECORATION: Final = re.compile(
    r"[\s\u200b-\u200f\u2060\ufeff()\[\]{}<>【】「」《》*_\-/\\:;,.'\"!?#|、。:]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A header row, understood. Indexes count from 0 (column A)."""

    #: Row number of the header as Excel shows it.
    row: int
    #: Field -> column; of ``FIELDS`` and ``TIE_FIELDS``.
    fields: Mapping[str, int]
    #: Field -> headers, where more than one column claims to be the field.
    twice: Mapping[str, tuple[str, ...]]
    #: Columns that may ask for another kind of packet; they are the operator's own as well.
    kinds: tuple[tuple[str, int], ...]
    #: The operator's own columns: column -> unique header.
    own: Mapping[int, str]
    headers: Mapping[int, str]
    #: The columns that we added.
    annotations: frozenset[int] = frozenset()
    #: Cells in the header row, empty ones included.
    width: int

    @property
    def amount_in_fen(self) -> bool:
        return "amount_fen" in self.fields

    @property
    def amount(self) -> int:
        return self.fields["amount_fen" if self.amount_in_fen else "amount_yuan"]

    @property
    def tied(self) -> bool:
        """The reserved columns are there, all four of them."""
        return all(name in self.fields for name in TIE_FIELDS)

    @property
    def campaigns(self) -> frozenset[str]:
        """The campaign of an annotated workbook, as the headers that we added say it."""
        ours = (self.headers[at] for at in self.annotations)
        return frozenset(h.removeprefix(NUMBERED) for h in ours if h.startswith(NUMBERED))

    @property
    def fits(self) -> bool:
        """Whether this can be the header of a list of people to pay."""
        return self._claims("re_openid") and (self._claims("amount_yuan") or self._claims("amount_fen"))

    def score(self) -> int:
        """How much like a header the row looks."""
        return len(self.fields) + len(self.twice)

    def _claims(self, name: str) -> bool:
        return name in self.fields or name in self.twice

    def require_clear(self, place: Text) -> None:
        """Raise `SheetRejected` unless every needed column is there exactly once."""
        for name, headers in self.twice.items():
            raise SheetRejected(
                text(
                    "{place}: more than one column could be {field}: {headers}",
                    place=place,
                    field=name,
                    headers=_list(headers),
                ),
                advice=text("Rename or remove the ones that do not count."),
            )
        if "amount_yuan" in self.fields and "amount_fen" in self.fields:
            raise SheetRejected(
                text("{place}: there is a column with yuan and one with fen", place=place),
                advice=text("Keep the one that counts; rename or remove the other."),
            )
        if not self.fits:
            raise SheetRejected(self._missing(place), advice=_NAME_IT)
        if self.annotations and not self.campaigns:
            raise SheetRejected(
                text("{place}: this is an annotated copy, made for reading and not for running", place=place),
                advice=text("Correct the original sheet, or the fix sheet beside the copy, and use that."),
            )
        present = [name for name in TIE_FIELDS if name in self.fields]
        if present and not self.tied:
            raise SheetRejected(
                text(
                    "{place}: the reserved columns {present} are there, but {absent} are not",
                    place=place,
                    present=_list(present),
                    absent=_list(name for name in TIE_FIELDS if name not in self.fields),
                ),
                advice=text(
                    "Take the sheet as campaign wrote it, or, if these columns are your own, rename them."
                ),
            )

    def _missing(self, place: Text) -> Text:
        headers = _list(self.headers.values())
        if not self._claims("re_openid"):
            return text(
                "{place}: no column holds openids (a header such as 用户openid); the headers are: {headers}",
                place=place,
                headers=headers,
            )
        return text(
            "{place}: no column holds amounts of a clear unit (a header such as 金额(元)); "
            "the headers are: {headers}",
            place=place,
            headers=headers,
        )


_NAME_IT: Final = text(
    "Rename the column in the sheet, or name it in the settings under [columns], "
    'like "奖金" = "amount_yuan"; the fields are {fields}.',
    fields=(*FIELDS, IGNORE),
)


def header_key(header: str) -> str:
    """Headers that differ only in width, case, blanks, brackets or traditional script are the same."""
    return _DECORATION.sub("", unicodedata.normalize("NFKC", header).casefold()).translate(_SIMPLIFIED)


def settings_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """``[columns]`` by `header_key`.

    Raises:
        SetupError: it names a field that does not exist, or a header twice.
    """
    known: dict[str, str] = {}
    for header, name in columns.items():
        if name not in FIELDS and name != IGNORE:
            near = get_close_matches(name, FIELDS, n=1)
            raise SetupError(
                text(
                    "[columns] in the settings: {header} is to be {name}, which is not a field",
                    header=header,
                    name=name,
                ),
                advice=text("Did you mean {near}?", near=near[0])
                if near
                else text("The fields are {fields}.", fields=(*FIELDS, IGNORE)),
            )
        if known.setdefault(header_key(header), name) != name:
            raise SetupError(
                text("[columns] in the settings names the header {header} twice", header=header),
                advice=text("Keep one of the two lines."),
            )
    return known


def understand(row: int, cells: Sequence[Cell], columns: Mapping[str, str]) -> Columns:
    """Read a row as if it were the header.

    Args:
        columns: as `settings_columns` gives them; they come before the aliases.
    """
    headers = {index: text_of(cell).strip() for index, cell in enumerate(cells) if not is_empty(cell)}
    named: dict[str, list[int]] = {}
    claims: dict[str, list[int]] = {}
    kinds: list[tuple[str, int]] = []
    for index, header in headers.items():
        key = header_key(header)
        if key in columns:
            named.setdefault(columns[key], []).append(index)
        elif name := _FIELD_OF.get(key):
            claims.setdefault(name, []).append(index)
        elif name := _KIND_OF.get(key):
            kinds.append((name, index))
    claims |= named  # what the settings name comes before what only sounds like it
    claims.pop(IGNORE, None)
    ours = frozenset(index for index, header in headers.items() if header.startswith(ANNOTATION))
    taken = {index for indexes in claims.values() for index in indexes} | ours
    return Columns(
        row=row,
        fields={name: indexes[0] for name, indexes in claims.items() if len(indexes) == 1},
        twice={
            name: tuple(headers[i] for i in indexes) for name, indexes in claims.items() if len(indexes) > 1
        },
        kinds=tuple(kinds),
        own=_distinct({index: header for index, header in headers.items() if index not in taken}),
        headers=headers,
        annotations=ours,
        width=len(cells),
    )


def column_letters(index: int) -> str:
    """Column as Excel names it: 0 is A, 26 is AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_index(letters: str) -> int:
    """Column from 0: A is 0, AA is 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


def _distinct(own: Mapping[int, str]) -> dict[int, str]:
    """Two own columns of one name are told apart by their letters, so that neither is lost."""
    names = list(own.values())
    return {
        index: f"{header} ({column_letters(index)})" if names.count(header) > 1 else header
        for index, header in own.items()
    }


def _list(names: Iterable[str]) -> tuple[str, ...]:
    """As a fact: listed in the reader's own way, with a dash where there is none."""
    return tuple(names) or ("-",)
