"""The fix sheet: only the rows to be corrected, tied to their originals by the reserved columns.

A row is in it only where its number is certain before the correction is made. Then original and fix
sheet name the same number, whatever is corrected in which of them, and WeChat Pay itself pays it once
even if the ledger is lost. Where the number comes from the very cell that is wrong (an openid or id that
is missing, broken or repeated), no column could tie the two, so such a row is corrected in the original.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from campaign.domain.billno import Tie
from campaign.domain.order import RowProblem
from campaign.domain.plan import ORDINAL_KEYS
from campaign.sheet import cells as read
from campaign.sheet.cells import Cell, is_empty, text_of
from campaign.sheet.columns import TIE_FIELDS, Columns, settings_columns
from campaign.sheet.reader import open_list, read_sheet
from campaign.sheet.reading import Reading, ReadOptions
from campaign.sheet.texts import TEXT_FIELDS
from campaign.sheet.write import TiedRow, write_tied_sheet

_SHEET: Final = "fix"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixSheet:
    """What is written: the rows, and how the operator's own sheet calls its columns."""

    rows: Sequence[TiedRow]
    own_headers: tuple[str, ...]
    #: Header -> field, the operator's own headers first.
    columns: Mapping[str, str]
    #: Whether the keys are ids.
    ids: bool

    def write(self, path: Path, *, mch_id: str, warning: str) -> None:
        """Write the sheet.

        Raises:
            SetupError: under ``[columns]`` the headers would not be understood.
            OSError: the file cannot be written.
        """
        write_tied_sheet(
            path,
            self.rows,
            sheet=_SHEET,
            mch_id=mch_id,
            own_headers=self.own_headers,
            columns=self.columns,
            warning=warning,
            ids=self.ids,
        )


def certain_ties(reading: Reading, campaign: str) -> dict[int, Tie]:
    """The rows with problems whose numbers are certain all the same, by row number."""
    cause = "id" if reading.key_column == "id" else "re_openid"
    uncertain = {p.source.row for p in reading.problems if p.column == cause}
    # An openid that is put right may be one that other rows have, and then moves their ordinals.
    if uncertain and reading.key_column == ORDINAL_KEYS:
        uncertain |= reading.flawed.keys()
    retold = {p.source.row for p in reading.problems if p.column == "row_key"}
    ties = {}
    for row, (row_key, tie) in reading.flawed.items():
        if tie is not None and row not in retold:
            ties[row] = tie
        elif tie is None and row_key and row not in uncertain:
            ties[row] = Tie(campaign=campaign, row_key=row_key, issue=1)
    return ties


def fix_sheet(
    source: Path, options: ReadOptions, ties: Mapping[int, Tie], notes: Mapping[int, str], *, ids: bool
) -> FixSheet:
    """The rows of ``ties`` as they stand in the sheet, in its order.

    Args:
        options: with which the sheet was read.
        notes: why a row has to be corrected, by row number.
    """
    listing = open_list(source, options)
    columns = listing.columns
    return FixSheet(
        rows=[
            _tied_row(row, columns, ties[number], notes.get(number, ""))
            for number, row in listing.rows
            if number in ties
        ],
        own_headers=tuple(columns.own.values()),
        columns=_headers(columns, options.columns),
        ids=ids,
    )


def without_mended(sheet: FixSheet, options: ReadOptions) -> FixSheet:
    """Leave out rows that would be paid as they stand.

    What was wrong with them is not in a value (a line through the cell, a misleading format, merged
    cells), so writing the values down again would seem to have mended it, and nobody has.
    """
    with TemporaryDirectory(prefix="campaign-") as folder:
        path = Path(folder, "fix.xlsx")
        sheet.write(path, mch_id=options.mch_id, warning="")
        again = read_sheet(path, replace(options, sheet=None, limit=None))
    wrong = {problem.source.row for problem in again.problems}
    return replace(sheet, rows=[row for number, row in enumerate(sheet.rows, 2) if number in wrong])


def problems_by_row(problems: Collection[RowProblem]) -> dict[int, list[RowProblem]]:
    """The problems of each row; those of the sheet as a whole are under 0."""
    found: dict[int, list[RowProblem]] = {}
    for problem in problems:
        found.setdefault(problem.source.row, []).append(problem)
    return found


def _tied_row(row: Sequence[Cell], columns: Columns, tie: Tie, note: str) -> TiedRow:
    def cell(at: int | None) -> Cell:
        return row[at] if at is not None and at < len(row) else ""

    amount = read.amount(cell(columns.amount), in_fen=columns.amount_in_fen)
    texts = {name: cell(columns.fields.get(name)) for name in TEXT_FIELDS}
    return TiedRow(
        tie=tie,
        re_openid=text_of(cell(columns.fields["re_openid"])),
        total_amount=text_of(cell(columns.amount)) if amount.findings else amount.fen,
        texts={name: "" if is_empty(value) else text_of(value) for name, value in texts.items()},
        own={header: text_of(cell(at)) for at, header in columns.own.items()},
        note=note,
    )


def _headers(columns: Columns, settings: Mapping[str, str]) -> dict[str, str]:
    """The sheet's own headers, then the settings' for fields that it lacks.

    Never those of another unit than the sheet's: an amount in fen may not end up under a header in yuan.
    """
    own = {columns.headers[at]: name for name, at in columns.fields.items() if name not in TIE_FIELDS}
    taken = settings_columns(own).keys()
    amounts = {"amount_yuan", "amount_fen"} - columns.fields.keys()
    return own | {
        header: name
        for header, name in settings.items()
        if name not in amounts and not settings_columns({header: name}).keys() & taken
    }
