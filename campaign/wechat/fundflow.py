"""The funds bill's file (资金账单, R10.4) to `BillLine`; a bill is believed only when it is whole.

Both generations (v2 ``downloadfundflow``, v3 ``fundflowbill``) and the platform's own download have this
form. A line that could be read in two ways is an error, never a guess.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
import unicodedata
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from sys import intern
from typing import Final

from campaign.domain.bill import Bill, BillLine
from campaign.domain.days import moment_s
from campaign.domain.money import NotMoney, fen_from_fen, fen_from_yuan, yuan_grouped
from campaign.errors import BillRejected
from campaign.text import Text, text

#: Uncompressed. A day of a million packets has about 250 MB; more would be a bomb.
BILL_BYTES_MAX: Final = 512 * 1024 * 1024

#: The columns in the order of the documentation, by normalised name.
COLUMNS: Final = (
    "记账时间",
    "微信支付业务单号",
    "资金流水单号",
    "业务名称",
    "业务类型",
    "收支类型",
    "收支金额",
    "账户结余",
    "资金变更提交申请人",
    "备注",
    "业务凭证号",
)
SUMMARY: Final = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")

_DIRECTIONS: Final = {"收入": True, "支出": False}
#: R10.1: ids have up to 128 characters.
_ID_LENGTH_MAX: Final = 128
#: What a spreadsheet makes of a long number: digits are gone for good.
_RUINED_ID: Final = re.compile(r"[0-9](\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)
_UNIT: Final = re.compile(r"\((元|yuan)\)")
_GZIP: Final = b"\x1f\x8b"
#: How a file begins -> what somebody handed over instead of a bill.
_SIGNATURES: Final[Mapping[bytes, Text]] = {
    b"PK": text("it is a ZIP archive or an Excel workbook: unpack it, or name the original text file"),
    b"\xd0\xcf\x11\xe0": text("it is an Excel workbook: name the original text file"),
    b"<": text("it is XML or a web page: WeChat Pay answered with an error instead of a bill"),
    codecs.BOM_UTF16_LE: text("it is UTF-16 text: a spreadsheet saved it; name the original text file"),
    codecs.BOM_UTF16_BE: text("it is UTF-16 text: a spreadsheet saved it; name the original text file"),
}
_ADVICE: Final = text(
    "Download the funds bill (资金账单) again from the merchant platform, or with --download, and name the "
    "file as it came."
)


def parse_bill(
    content: bytes, *, file: str, account: str = "", sha1: str = "", days: Collection[date] = ()
) -> Bill:
    """Read a bill: gzip or plain, UTF-8 (with or without BOM) or GB18030, LF or CRLF.

    Args:
        file: its name for people.
        account: ``Basic`` or ``Operation``, where known.
        sha1: the digest that came with it, hexadecimal; over the uncompressed bill (R10.3). ``Digest`` of
            the v2 answer does not say over what, so that of the compressed one is taken too.
        days: the Beijing days that it is known to cover.

    Raises:
        BillRejected: it is no funds bill, not a whole one, damaged, or another than the digest's.
            Names the line.
    """
    plain = _uncompressed(content, file)
    digest = _sha1(plain)
    if sha1 and sha1.strip().lower() not in (digest, _sha1(content)):
        raise _rejected(file, text("it is not the file that WeChat Pay's digest belongs to"))
    rows = _rows(_decoded(plain, file))
    header = next(rows, None)
    if header is None:
        raise _rejected(file, text("it is empty"))
    order, width = _order(header[1], file)
    lines: list[BillLine] = []
    for number, row in rows:
        if _is_summary(row):
            flaw = _flaw(lines, _summary(row, rows, file))
            break
        fields = _fields(row, width)
        if fields is None:
            raise _rejected(file, text("the line has another number of fields than the header"), number)
        lines.append(_line([fields[place] for place in order], file=file, number=number))
    else:
        raise _rejected(file, text("its summary, the last two lines, is missing: the file was cut off"))
    if rest := next(rows, None):
        raise _rejected(file, text("something follows its summary"), rest[0])
    return Bill(
        file=file,
        account=account,
        lines=tuple(lines),
        sha1=digest,
        flaw=flaw,
        asked_days=frozenset(days),
        content=content,
    )


# -- bytes to text


def _uncompressed(content: bytes, file: str) -> bytes:
    if not content.startswith(_GZIP):
        if len(content) > BILL_BYTES_MAX:
            raise _rejected(file, text("it is too long"))
        return content
    expander = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = expander.decompress(content, BILL_BYTES_MAX)
    except zlib.error:
        raise _rejected(file, text("its compressed data is damaged")) from None
    if expander.unconsumed_tail:
        raise _rejected(file, text("it is too long"))
    if not expander.eof:
        raise _rejected(file, text("its compressed data ends too early: the file was cut off"))
    if expander.unused_data.strip(b"\0"):
        raise _rejected(file, text("something follows its compressed data"))
    return plain


def _decoded(plain: bytes, file: str) -> str:
    for signature, what in _SIGNATURES.items():
        if plain.startswith(signature):
            raise _rejected(file, what)
    for encoding in ("utf-8-sig", "gb18030"):  # GBK is a part of it, and hardly ever valid UTF-8
        try:
            return plain.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _rejected(file, text("it is text neither in UTF-8 nor in GBK"))


def _rows(content: str) -> Iterator[tuple[int, str]]:
    """Line number and line of all that is not blank. A break inside a field is escaped (R10.4)."""
    for number, row in enumerate(content.split("\n"), start=1):
        row = row.removesuffix("\r")
        if row.strip(" \t,"):  # a spreadsheet fills short lines up with commas
            yield number, row


# -- header and summary


def _order(header: str, file: str) -> tuple[list[int], int]:
    """Where each of `COLUMNS` stands, by name, else, in a header of the usual length, by position; and how
    many columns there are.

    Raises:
        BillRejected: a column is missing.
    """
    names = [_normalised(name) for name in header.split(",")]
    positional = len(names) == len(COLUMNS)
    order = []
    for position, column in enumerate(COLUMNS):
        if names.count(column) == 1:
            order.append(names.index(column))
        elif positional and names[position] not in COLUMNS and order:
            order.append(position)  # renamed since
        else:
            raise _rejected(
                file, text("its header has no column {column}: it is no funds bill", column=column)
            )
    return order, len(names)


def _normalised(name: str) -> str:
    """A header without unit, blanks and quotes; full-width characters as half-width ones."""
    plain = unicodedata.normalize("NFKC", name)
    return _UNIT.sub("", "".join(c for c in plain if not c.isspace() and c not in '"`\ufeff'))


def _is_summary(row: str) -> bool:
    return _normalised(row.partition(",")[0]) == SUMMARY[0]


def _summary(header: str, rows: Iterator[tuple[int, str]], file: str) -> dict[str, int]:
    """Counts, and amounts in fen, by the names of `SUMMARY`."""
    names = [_normalised(name) for name in header.rstrip(",").split(",")]
    number, row = next(rows, (0, ""))
    if not row:
        raise _rejected(file, text("the values of its summary are missing: the file was cut off"))
    values = _fields(row.rstrip(","), len(SUMMARY))
    if sorted(names) != sorted(SUMMARY) or values is None:
        raise _rejected(file, text("its summary has other columns than a funds bill"), number)
    try:
        return {
            name: fen_from_yuan(value) if name.endswith("金额") else fen_from_fen(value)
            for name, value in zip(names, values, strict=True)
        }
    except NotMoney:
        raise _rejected(file, text("its summary has something else than numbers"), number) from None


def _flaw(lines: Sequence[BillLine], said: Mapping[str, int]) -> Text | None:
    """How the lines contradict the summary; None where they do not."""
    income = [line.fen for line in lines if line.incoming]
    outgo = [line.fen for line in lines if not line.incoming]
    found = dict(zip(SUMMARY, (len(lines), len(income), sum(income), len(outgo), sum(outgo)), strict=True))
    if found == said:
        return None
    return text(
        "its summary says {said_in} lines in with {said_in_yuan} yuan and {said_out} out with "
        "{said_out_yuan}; its lines are {found_in} in with {found_in_yuan} yuan and {found_out} out with "
        "{found_out_yuan}",
        said_in=said["收入笔数"],
        said_in_yuan=yuan_grouped(said["收入金额"]),
        said_out=said["支出笔数"],
        said_out_yuan=yuan_grouped(said["支出金额"]),
        found_in=len(income),
        found_in_yuan=yuan_grouped(sum(income)),
        found_out=len(outgo),
        found_out_yuan=yuan_grouped(sum(outgo)),
    )


# -- one line


def _line(fields: Sequence[str], *, file: str, number: int) -> BillLine:
    """The movement that fields in the order of `COLUMNS` tell of."""
    time, business_no, flow_id, name, kind, direction, yuan, balance, applicant, note, voucher_no = fields
    for identifier in (business_no, flow_id, voucher_no):
        if _RUINED_ID.fullmatch(identifier):
            raise _rejected(
                file, text("a spreadsheet has rounded its long numbers: {value}", value=identifier), number
            )
        if len(identifier) > _ID_LENGTH_MAX:
            raise _rejected(file, text("a number has more than 128 characters"), number)
    if direction not in _DIRECTIONS:
        raise _rejected(file, text("it says neither 收入 nor 支出: {value}", value=direction[:20]), number)
    return BillLine(
        billed_at_s=_time(time, file, number),
        business_no=business_no,
        flow_id=flow_id,
        business_name=intern(name),
        business_type=intern(kind),
        incoming=_DIRECTIONS[direction],
        fen=_fen(yuan, file, number),
        balance_fen=-_fen(balance[1:], file, number)
        if balance.startswith("-")
        else _fen(balance, file, number),
        applicant=intern(applicant),
        note=_unescaped(note),
        voucher_no=voucher_no,
        file=file,
        line=number,
    )


def _fields(row: str, count: int) -> list[str] | None:
    """The fields of a line, each without its one leading backtick; None if there are not so many.

    A field begins with a backtick (R10.4), so a comma without one belongs to a remark. Where that does
    not give the right number, a spreadsheet may have put quotes around some.
    """
    fields = row.removeprefix("`").split(",`")
    if len(fields) == count and '"' not in fields[0]:
        return [field.strip() for field in fields]
    try:
        fields = next(csv.reader([row], strict=True), [])
    except csv.Error:
        return None
    return [_bare(field) for field in fields] if len(fields) == count else None


def _bare(field: str) -> str:
    return field.strip().removeprefix("`").strip()


def _time(value: str, file: str, number: int) -> float:
    try:
        if value[:2] == "20":
            return moment_s(value)
    except ValueError:
        pass
    raise _rejected(file, text("it has no time as 2018-02-01 04:21:23: {value}", value=value[:30]), number)


def _fen(yuan: str, file: str, number: int) -> int:
    try:
        return fen_from_yuan(yuan)
    except NotMoney:
        raise _rejected(file, text("it has no amount in yuan: {value}", value=yuan[:30]), number) from None


_ESCAPES: Final = re.compile(r"\\r\\n|\\r|\\n|\\1|\x01")


def _unescaped(note: str) -> str:
    r"""A remark as it was written: ``\r`` and ``\n`` stand for line breaks, ``\1`` for a blank (R10.4)."""
    if "\\" not in note and "\x01" not in note:
        return note
    return _ESCAPES.sub(lambda found: " " if found[0] in ("\\1", "\x01") else "\n", note)


def _sha1(content: bytes) -> str:
    # WeChat Pay's choice; it guards against damage, not against malice.
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _rejected(file: str, cause: Text, line: int | None = None) -> BillRejected:
    message = (
        text("The bill {file} cannot be used: {cause}.", file=file, cause=cause)
        if line is None
        else text("The bill {file} cannot be used: line {line}: {cause}.", file=file, line=line, cause=cause)
    )
    return BillRejected(message, advice=_ADVICE)
