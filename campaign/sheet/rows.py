"""From the cells below the header to orders and problems.

Every rule is applied once per distinct value and its answer kept. Rows whose values are all good, or cannot
be anything else, take the short way (`_Rows.read_plain`), a thousand together: it asks the same rules as the
long way, so no second form of a rule exists that could drift from the first.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from campaign.domain.billno import Tie, canonical_row_key, is_openid_key, repeat_key
from campaign.domain.checks import Finding, check_amount, check_openid
from campaign.domain.limits import Limits
from campaign.domain.money import yuan_text
from campaign.domain.occurrences import Occurrences, made_once, rows_text
from campaign.domain.order import Orders, RowProblem
from campaign.domain.plan import ORDINAL_KEYS
from campaign.sheet import cells as read
from campaign.sheet.cells import Cell, Cleaned, Value, is_empty, text_of
from campaign.sheet.columns import TIE_FIELDS, Columns, column_letters
from campaign.sheet.grid import ROWS_MAX, Grid
from campaign.sheet.kinds import check_kind
from campaign.sheet.orders import CHUNK, FEN, Records, SheetOrders, key_text
from campaign.sheet.people import people_notes
from campaign.sheet.problems import Found, Problems
from campaign.sheet.reading import ReadOptions
from campaign.sheet.remarks import Remarks
from campaign.sheet.texts import TextReader, Texts
from campaign.sheet.ties import read_tie
from campaign.sheet.totals import SUBTOTAL, WORD_LENGTH, Totals
from campaign.text import Text, text

_OPENID_LENGTH: Final = 28
#: An openid as it should be, not written in small letters by somebody, alone and in lines.
_PLAIN_OPENID: Final = re.compile(rf"o(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{{{_OPENID_LENGTH - 1}}}")
_PLAIN_OPENIDS: Final = re.compile(rf"(?:{_PLAIN_OPENID.pattern}\n)*")
#: An id that reading leaves as it is: no placeholder, no power of ten.
_PLAIN_ID: Final = re.compile(r"(?![0-9]E-)[A-Za-z0-9_-]{7,64}", re.IGNORECASE | re.ASCII)
#: Whole numbers below it are shown as their digits, all of which Excel keeps.
_PLAIN_NUMBERS: Final = 1e15
#: So many amounts and bands are remembered: from 1 to 200 yuan there are 19,901.
_KEPT_MAX: Final = 20_000
#: So many cells that show another amount than they hold are named.
_ROUNDED_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the rows."""

    rows: int
    #: Rows that are hidden and were left out.
    hidden: int
    orders: Orders
    problems: Sequence[RowProblem]
    #: As in `Reading`.
    flawed: dict[int, tuple[str, Tie | None]]
    notes: tuple[Text, ...]
    key_column: str
    #: As in `Reading`.
    tied_to: frozenset[str]


def read_rows(
    *,
    file: str,
    grid: Grid,
    columns: Columns,
    rows: Iterable[tuple[int, Sequence[Cell]]],
    options: ReadOptions,
) -> Outcome:
    """Read every row below the header.

    Args:
        columns: clear (`Columns.require_clear`).
        rows: row number and cells.
    """
    reader = _Rows(file, grid, columns, options)
    for number, row in reader.read_plain(rows):
        reader.read(number, row)
    return reader.finish()


class _Rows:
    """The rows read so far."""

    def __init__(self, file: str, grid: Grid, columns: Columns, options: ReadOptions) -> None:
        self._file, self._grid, self._columns, self._options = file, grid, columns, options
        self._openid_at = columns.fields["re_openid"]
        self._amount_at = columns.amount
        self._id_at = None if columns.tied else columns.fields.get("id")
        self._tie_at = [columns.fields[name] for name in TIE_FIELDS] if columns.tied else []
        self._tied_id_at = columns.fields.get("id") if columns.tied else None
        #: What gave the keys of the tied rows; ``id`` outweighs the others.
        self._tied_keys: set[str] = set()
        self._own_at = list(columns.own)
        self._width = max(columns.headers) + 1
        self._field_at = {at: name for name, at in columns.fields.items()}
        self._flawed = {**_merged_cells(grid, self._field_at), **grid.cell_findings}
        self._left_out = frozenset[int]() if options.include_hidden else grid.hidden_rows
        self._texts = TextReader(columns, options.defaults)
        self._amounts: dict[Cell, Value] = {}
        #: Whether any number among the amounts has places behind the point, which its cell may not show.
        self._fractions = False
        self._bands: dict[tuple[int, str], tuple[Finding, ...]] = {}
        #: Amounts that were found good beside some texts; of use where all rows have the same ones.
        self._good: dict[Cell, int] = {}
        self._totals = Totals(columns)

        self._rows = 0
        self._last_row = 0
        self._records = Records()
        #: Key and row of what is no order, but counts where keys are repeated.
        self._aside: list[tuple[str, int]] = []
        self._tied_to: set[str] = set()
        self._problems: list[Found] = []
        self._flawed_keys: dict[int, tuple[str, Tie | None]] = {}
        #: How many rows each person has so far, where that is part of the key.
        self._ordinals: dict[str, int] = {}
        self._remarks = Remarks()
        self._unnamed: set[int] = set()
        self._hidden_rows = array("L")
        #: Fen of all rows and of the hidden ones; None once an amount could not be read.
        self._sum: int | None = 0
        self._sum_hidden = 0

    def read_plain(self, rows: Iterable[tuple[int, Sequence[Cell]]]) -> Iterator[tuple[int, Sequence[Cell]]]:
        """Take in the rows that hold nothing remarkable, and hand on the others to be read one by one."""
        special = self._tie_at or self._columns.kinds or self._flawed or self._columns.width != self._width
        if special or self._options.allow_repeats or self._options.limit is not None:
            return (yield from rows)
        rows = iter(rows)
        while some := list(islice(rows, CHUNK)):
            yield from self._take_in(some)

    def _take_in(self, rows: Sequence[tuple[int, Sequence[Cell]]]) -> Iterator[tuple[int, Sequence[Cell]]]:
        """Take in what lies between the remarkable rows, and hand those on."""
        columns, remarkable = self._by_columns(rows)
        start = 0
        for end in (*sorted(remarkable), len(rows)):
            if self._totals.held:  # whoever follows shows that it was none at the end
                return (yield from rows[start:])
            if start < end:
                self._records.extend([column[start:end] for column in columns])
                self._rows += end - start
                self._last_row = rows[end - 1][0]
                if self._sum is not None:
                    self._sum += sum(columns[FEN][start:end])
            yield from rows[end : end + 1]
            start = end + 1

    def _by_columns(
        self, rows: Sequence[tuple[int, Sequence[Cell]]]
    ) -> tuple[Sequence[Sequence[Any]], set[int]]:
        """The columns of a `Record`, and the places of the rows of which something may have to be said.

        Nothing has to be where openid and id are as they should be, amount and texts are found good, and the
        columns without a header hold nothing. By columns most of it needs no call in Python for each row.
        """
        width, headers = self._columns.width, self._columns.headers
        lines = [row if len(row) == width else [None] * width for _, row in rows]
        columns = list(zip(*lines, strict=True))
        openids = _plain_openids(columns[self._openid_at])
        keys = openids if self._id_at is None else list(map(_plain_id, columns[self._id_at]))
        cells = columns[self._amount_at]
        if self._texts.has_columns:
            texts = list(map(self._texts.read, lines))
            fens = list(map(self._good_amount, cells, texts))
        else:
            same, good = self._texts.read(()), self._good
            texts = [same] * len(rows)
            # TRUE and 1 are the same key, and not the same amount.
            fens = [(type(c) is not bool and good.get(c)) or self._good_amount(c, same) for c in cells]
        remarkable = {
            at
            for column in (openids, keys, fens)
            if not all(column)
            for at, value in enumerate(column)
            if not value
        }
        for column in (columns[at] for at in range(width) if at not in headers):
            remarkable.update(at for at, cell in enumerate(column) if cell != "")
        numbers = [number for number, _ in rows]
        if self._left_out:
            remarkable.update(at for at, number in enumerate(numbers) if number in self._left_out)
        placed = made_once(lambda each: each.texted if each.place is None else each.place, texts)
        own = [_shown(columns[at]) for at in self._own_at]
        owned = list(zip(*own, strict=True)) if own else [()] * len(rows)
        return (numbers, keys, openids, fens, placed, owned, [None] * len(rows)), remarkable

    def _good_amount(self, cell: Cell, texts: Texts) -> int:
        """Fen, where nothing is to be said about the amount and the texts beside it; else 0."""
        amount = self._value(cell)
        if amount.findings or amount.cleaned or texts.findings or texts.cleaned:
            return 0
        if self._beyond(amount.fen, texts.scene_id):
            return 0
        if len(self._good) < _KEPT_MAX:
            self._good[cell] = amount.fen
        return amount.fen

    def read(self, number: int, row: Sequence[Cell]) -> None:
        """Take in one row of the worksheet."""
        if len(row) < self._width:
            row = [*row, *[""] * (self._width - len(row))]
        cell = row[self._openid_at]
        plain = type(cell) is str and len(cell) > WORD_LENGTH and not check_openid(cell)
        if not plain:
            if is_empty(cell) and all(map(is_empty, row)):
                return
            if self._totals.take(number, row):
                return
        for held in self._totals.release():
            self._read_data(*held, plain=False)
        self._read_data(number, row, plain=plain)

    def _read_data(self, number: int, row: Sequence[Cell], *, plain: bool) -> None:
        """Take in a row of a person.

        Args:
            plain: its openid is one already, as nearly all are.
        """
        found: list[Found] = []
        re_openid = text_of(row[self._openid_at]) if plain else self._openid(number, row, found)
        is_subtotal = bool(found) and found[0].finding is SUBTOTAL
        if not found and (len(re_openid) != _OPENID_LENGTH or re_openid[0] != "o" or re_openid.islower()):
            self._remarks.add("re_openid", Cleaned.SHAPE, number)
        amount = self._amount(number, row)
        if amount.findings:
            self._sum = None
            found += [self._about_amount(number, row, finding) for finding in amount.findings]
        elif self._sum is not None and not is_subtotal:
            self._sum += amount.fen
        texts = self._texts.read(row)
        if texts.findings:
            found += [Found(number, f.column, f.field, f.value, f.finding) for f in texts.findings]
        if not amount.findings:
            beyond = self._beyond(amount.fen, texts.scene_id)
            found += [self._about_amount(number, row, finding) for finding in beyond]
        row_key, tie = self._key(number, row, re_openid, found)
        self._other_findings(number, row, found)
        if number in self._left_out:
            self._hidden_rows.append(number)
            self._sum_hidden += amount.fen
            self._put_aside(number, row_key, tie)
            return
        if self._options.limit is not None and self._rows >= self._options.limit:
            self._put_aside(number, row_key, tie)
            return
        self._rows += 1
        self._last_row = number
        for field, kind in texts.cleaned:
            self._remarks.add(field, kind, number)
        if found:
            self._problems += found
            self._flawed_keys[number] = row_key, tie
            self._put_aside(number, row_key, tie)
            return
        own = tuple([c if type(c := row[at]) is str else text_of(c) for at in self._own_at])
        tied = None
        if tie is not None:
            tied = tie.campaign, tie.row_key, tie.issue
            self._tied_to.add(tie.campaign)
        place = texts.texted if texts.place is None else texts.place
        self._records.add((number, row_key, re_openid, amount.fen, place, own, tied))

    def _put_aside(self, number: int, row_key: str, tie: Tie | None) -> None:
        """A row that is no order still has its key."""
        if row_key:
            self._aside.append((key_text(row_key, tie.campaign if tie else None), number))

    def _openid(self, number: int, row: Sequence[Cell], found: list[Found]) -> str:
        """The row's openid; empty when it is none."""
        cell = row[self._openid_at]
        value = read.identifier(cell)
        findings = value.findings or check_openid(value.text)
        if self._totals.is_totals(row):
            findings = (SUBTOTAL,)
        elif value.text == self._columns.headers[self._openid_at]:  # "openid" itself could be one
            findings = (_HEADER_AGAIN,)
        found += [Found(number, self._openid_at, "re_openid", cell, finding) for finding in findings]
        for kind in value.cleaned:
            if value.text:
                self._remarks.add("re_openid", kind, number)
        return "" if findings else value.text

    def _about_amount(self, number: int, row: Sequence[Cell], finding: Finding) -> Found:
        return Found(number, self._amount_at, "total_amount", row[self._amount_at], finding)

    def _amount(self, number: int, row: Sequence[Cell]) -> Value:
        value = self._value(row[self._amount_at])
        for kind in value.cleaned:
            self._remarks.add("total_amount", kind, number)
        return value

    def _value(self, cell: Cell) -> Value:
        # Not for other types: TRUE and 1 are the same key, and not the same amount.
        kept = type(cell) is str or type(cell) is float
        value = self._amounts.get(cell) if kept else None
        if value is None:
            value = read.amount(cell, in_fen=self._columns.amount_in_fen)
            self._fractions = self._fractions or (type(cell) is float and not cell.is_integer())
            if kept and len(self._amounts) < _KEPT_MAX:
                self._amounts[cell] = value
        return value

    def _beyond(self, fen: int, scene_id: str) -> tuple[Finding, ...]:
        findings = self._bands.get((fen, scene_id))
        if findings is None:
            findings = (*check_amount(fen, scene_id), *_beyond_a_day(fen, self._options.limits))
            if len(self._bands) < _KEPT_MAX:
                self._bands[fen, scene_id] = findings
        return findings

    def _key(
        self, number: int, row: Sequence[Cell], re_openid: str, found: list[Found]
    ) -> tuple[str, Tie | None]:
        """The row's key; a person's rows are counted over all rows, hidden and invalid ones too."""
        if self._tie_at:
            tie = read_tie([row[at] for at in self._tie_at], mch_id=self._options.mch_id)
            if isinstance(tie, Finding):
                found.append(Found(number, self._tie_at[1], "row_key", row[self._tie_at[1]], tie))
                return "", None
            self._check_person(number, row, re_openid, tie, found)
            return tie.row_key, tie
        if self._id_at is not None:
            row_key = self._own_id(number, row[self._id_at], self._id_at, found)
            return row_key, None
        if self._options.allow_repeats:
            ordinal = self._ordinals.get(re_openid, 0) + 1 if re_openid else 1
            self._ordinals[re_openid] = ordinal
            return repeat_key(re_openid, ordinal), None
        return re_openid, None

    def _check_person(
        self, number: int, row: Sequence[Cell], re_openid: str, tie: Tie, found: list[Found]
    ) -> None:
        """Where an openid gave the key, another one cannot keep it.

        In the original the corrected openid would have another number, and without the ledger nothing
        would tell that the two are one packet. With an id both sheets have the same number.
        """
        own_id = "" if self._tied_id_at is None else read.identifier(row[self._tied_id_at]).text
        if own_id:
            assert self._tied_id_at is not None
            self._tied_keys.add("id")
            if own_id != tie.row_key:
                found.append(Found(number, self._tied_id_at, "id", row[self._tied_id_at], _OTHER_ID))
        elif is_openid_key(tie.row_key, re_openid):
            self._tied_keys.add("re_openid" if tie.row_key == re_openid else ORDINAL_KEYS)
        elif re_openid:
            found.append(Found(number, self._openid_at, "re_openid", row[self._openid_at], _OTHER_PERSON))

    def _own_id(self, number: int, cell: Cell, at: int, found: list[Found]) -> str:
        value = read.identifier(cell)
        findings = value.findings
        row_key = ""
        try:
            row_key = canonical_row_key(value.text)
        except ValueError:
            findings = findings or (_STRANGE_ID if value.text else _NO_ID,)
        found += [Found(number, at, "id", cell, finding) for finding in findings]
        for kind in value.cleaned:
            if row_key:
                self._remarks.add("id", kind, number)
        return row_key

    def _other_findings(self, number: int, row: Sequence[Cell], found: list[Found]) -> None:
        for field, at in self._columns.kinds:
            if finding := check_kind(field, row[at]):
                found.append(Found(number, at, field, row[at], finding))
        if self._flawed:
            for at, field in self._field_at.items():
                if finding := self._flawed.get((number, at)):
                    found[:] = [f for f in found if f.column != at]
                    found.append(Found(number, at, _public_name(field), row[at], finding))
        if len(row) > self._columns.width:
            beyond = [at for at in range(self._columns.width, len(row)) if not is_empty(row[at])]
            if beyond and self._grid.delimited:
                found.append(Found(number, beyond[0], "", row[beyond[0]], _TOO_MANY_CELLS))
        if len(row) > len(self._columns.headers) and not self._grid.delimited:
            self._unnamed.update(
                at for at, cell in enumerate(row) if at not in self._columns.headers and not is_empty(cell)
            )

    def finish(self) -> Outcome:
        """Judge what only the whole sheet shows."""
        self._judge_repeats()
        repeated = {found.row for found in self._problems} - self._flawed_keys.keys()
        self._records.shared = self._texts.shared
        self._flawed_keys |= self._keys_of(repeated)
        records = self._records.without(repeated)
        self._judge_totals()
        own_headers = tuple(self._columns.own.values())
        orders = SheetOrders(self._file, self._grid.name, own_headers, records)
        return Outcome(
            rows=self._rows,
            hidden=len(self._hidden_rows),
            orders=orders,
            problems=Problems(self._file, self._grid.name, self._problems),
            flawed=self._flawed_keys,
            notes=(*self._notes(), *people_notes(orders, self._options.limits)),
            key_column=self._key_column(),
            tied_to=frozenset(self._tied_to),
        )

    def _keys_of(self, rows: Collection[int]) -> dict[int, tuple[str, Tie | None]]:
        """Key and tie of these orders."""
        found: dict[int, tuple[str, Tie | None]] = {}
        if rows:
            for number, row_key, _, _, _, _, tie in self._records:
                if number in rows:
                    found[number] = (
                        row_key,
                        Tie(campaign=tie[0], row_key=tie[1], issue=tie[2]) if tie else None,
                    )
        return found

    def _key_column(self) -> str:
        if self._tie_at:
            return next((c for c in ("id", ORDINAL_KEYS) if c in self._tied_keys), "re_openid")
        if self._id_at is not None:
            return "id"
        return ORDINAL_KEYS if self._options.allow_repeats else "re_openid"

    def _judge_repeats(self) -> None:
        """All rows of a repeated key are problems, since a person must say which of them counts.

        Keys are counted over all rows, hidden and invalid ones too.
        """
        if self._tie_at:
            field, at, advice = "row_key", self._tie_at[1], _SAME_TIE
        elif self._id_at is not None:
            field, at, advice = "id", self._id_at, _SAME_ID
        elif not self._options.allow_repeats:
            field, at, advice = "re_openid", self._openid_at, _SAME_PERSON
        else:
            return
        occurrences = Occurrences()
        occurrences.add([key for key, _ in self._aside])
        for keys in self._records.key_columns():
            occurrences.add(keys)
        repeated = occurrences.repeated(key for key, _ in self._keys())
        rows_of: dict[str, list[int]] = {}
        if repeated:
            for key, row in self._keys():
                if key in repeated:
                    rows_of.setdefault(key, []).append(row)
        for key, rows in rows_of.items():
            rows.sort()
            finding = Finding(
                text("appears {times} times: {rows}", times=len(rows), rows=rows_text(rows)), advice
            )
            for number in rows:
                if number not in self._left_out and number <= self._last_row:
                    self._problems.append(Found(number, at, field, key.rpartition("\n")[2], finding))

    def _keys(self) -> Iterator[tuple[str, int]]:
        """Every key with its row, also of what is no order."""
        return chain(self._records.keys(), self._aside)

    def _judge_totals(self) -> None:
        """The sheet's own total must be that of its rows, with or without the hidden ones."""
        if self._sum is None or self._options.limit is not None:
            return
        for number, row in self._totals.rows():
            stated = self._stated(row)
            if stated.findings or stated.fen in (self._sum, self._sum - self._sum_hidden):
                continue
            problem = text(
                "the totals row says ¥{stated}, but the rows above it add up to ¥{sum}",
                stated=yuan_text(stated.fen),
                sum=yuan_text(self._sum),
            )
            self._problems.append(self._about_amount(number, row, Finding(problem, _CHECK_TOTAL)))

    def _stated(self, row: Sequence[Cell]) -> Value:
        return read.amount(row[self._amount_at], in_fen=self._columns.amount_in_fen)

    def _notes(self) -> Iterable[Text]:
        yield from self._remarks.notes()
        if self._fractions:
            yield from self._rounded()
        if self._hidden_rows:
            yield text(
                "hidden, therefore left out and not paid: {rows}; to include them, say --include-hidden",
                rows=rows_text(self._hidden_rows),
            )
        elif self._options.include_hidden and self._grid.hidden_rows:
            yield text(
                "hidden in the sheet, and included: {rows}", rows=rows_text(sorted(self._grid.hidden_rows))
            )
        if columns := sorted(self._grid.hidden_columns & self._columns.headers.keys()):
            yield text(
                "hidden columns were read too: {columns}",
                columns=tuple(self._columns.headers[at] for at in columns),
            )
        if self._unnamed:
            yield text(
                "columns without a header were left alone: {columns}",
                columns=tuple(map(column_letters, sorted(self._unnamed))),
            )
        for number, row in self._totals.rows():
            if self._sum is None or self._stated(row).findings:
                yield text(
                    "row {row} is the totals row; it is not paid, and could not be checked", row=number
                )
            else:
                yield text("row {row} is the totals row and is not paid", row=number)
        if below := self._totals.remarks_below():
            yield text(
                "what stands below the totals row was left alone: {remarks}", remarks=" · ".join(below)[:120]
            )

    def _rounded(self) -> Iterator[Text]:
        """What is paid is what a cell holds; whoever looked at the sheet saw what it shows."""
        letters, told, more = column_letters(self._amount_at), list[object](), 0
        for number, held, shown in self._grid.rounded(self._amount_at):
            if not self._columns.row < number <= self._last_row or number in self._left_out:
                continue
            if len(told) < _ROUNDED_MAX:
                told.append(
                    text(
                        "{cell} holds {held} and shows {shown}",
                        cell=f"{letters}{number}",
                        held=held,
                        shown=shown,
                    )
                )
            else:
                more += 1
        if more:
            told.append(text("and {more} more", more=more))
        if told:
            yield text(
                "what is paid is what a cell holds, although its format rounds it: {cells}", cells=told
            )


def _shown(cells: Sequence[Cell]) -> Sequence[str]:
    """Each as `text_of` shows it."""
    if set(map(type, cells)) == {str}:
        return cells  # type: ignore[return-value]  # they are all text
    return list(map(text_of, cells))


def _plain_openids(cells: Sequence[Cell]) -> Sequence[str]:
    """Each openid as it should be; empty for anything else."""
    if set(map(type, cells)) == {str}:
        together = "\n".join([*cells, ""])  # type: ignore[list-item]  # they are all text
        # The length tells a cell of two lines from two cells.
        if len(together) == (_OPENID_LENGTH + 1) * len(cells) and _PLAIN_OPENIDS.fullmatch(together):
            return cells  # type: ignore[return-value]  # as above
    return [cell if type(cell) is str and _PLAIN_OPENID.fullmatch(cell) else "" for cell in cells]


def _plain_id(cell: Cell) -> str:
    """The key that reading leaves as it is; empty for anything else."""
    if type(cell) is str:
        return cell if _PLAIN_ID.fullmatch(cell) else ""
    if type(cell) is float and 0 <= cell < _PLAIN_NUMBERS and cell.is_integer():
        return str(int(cell))
    return ""


def _merged_cells(grid: Grid, field_at: Iterable[int]) -> dict[tuple[int, int], Finding]:
    """Merged cells in the columns that matter: only the first one holds the value."""
    return {
        (row, at): _MERGED
        for first_row, first, last_row, last in grid.merged
        for at in field_at
        if first <= at <= last
        for row in range(first_row, min(last_row, ROWS_MAX) + 1)
    }


def _beyond_a_day(fen: int, limits: Limits | None) -> tuple[Finding, ...]:
    """A packet that no day's cap lets through would wait for ever."""
    if limits is None or fen <= (most := min(limits.person_day_fen, limits.merchant_day_fen)):
        return ()
    problem = text("¥{yuan} is more than a day's limit of ¥{most}", yuan=yuan_text(fen), most=yuan_text(most))
    return (Finding(problem, text("Split the amount over several rows, or raise the limit under [limits].")),)


def _public_name(field: str) -> str:
    return "total_amount" if field.startswith("amount_") else field


_HEADER_AGAIN: Final = Finding(text("the header is repeated here"), text("Remove the row."))
_NO_ID: Final = Finding(
    text("id is missing"), text("Give every row an id of its own, or remove the id column.")
)
_STRANGE_ID: Final = Finding(
    text("the id holds control or invisible characters"),
    text("Enter the id again, as plain letters and digits."),
)
_MERGED: Final = Finding(
    text("the cell is merged with others, so it is not clear which rows it is meant for"),
    text("Unmerge the cells and fill in every row."),
)
_TOO_MANY_CELLS: Final = Finding(
    text("the row has more cells than the header; perhaps a comma within an amount or text splits it"),
    text("Put quotation marks around such a cell, or save the sheet as .xlsx."),
)
_SAME_PERSON: Final = text(
    "Keep one row. If the person is to get several packets, add an id column with a different id "
    "in each row, or use --allow-repeats."
)
_SAME_ID: Final = text("Give every row an id of its own; an id stands for one packet.")
_OTHER_PERSON: Final = Finding(
    text("the openid is another one than when this row got its number, which comes from it"),
    text("Put it back here. Correct the openid in the original sheet, and run that one."),
)
_OTHER_ID: Final = Finding(
    text("the id is another one than when this row got its number, which comes from it"),
    text("Put it back: it is the one in the column row_key."),
)
_SAME_TIE: Final = text("Keep one of the rows: they are the same packet.")
_CHECK_TOTAL: Final = text("Check the amounts and the total; correct what is wrong.")
