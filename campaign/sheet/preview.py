"""The first packets as people will see them, drawn with the cells of a worksheet of their own.

Cells and not a picture: every program that shows the workbook has fonts for what people write in a
greeting, and a picture would need some here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from campaign.sheet.columns import column_letters
from campaign.sheet.put import put_text

if TYPE_CHECKING:
    from openpyxl import Workbook

_RED: Final = "D85940"
_DARK_RED: Final = "C44733"
_GOLD: Final = "FCE3B4"
_GREY: Final = "7F7F7F"
_WHITE: Final = "FFFFFF"
_CARDS_ABREAST: Final = 3
#: In characters: a card has this many columns of this width, and a gap beside it.
_CARD_COLUMNS: Final = 3
_COLUMN_WIDTH: Final = 11
_GAP_WIDTH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One packet as its recipient sees it, in words."""

    send_name: str
    wishing: str
    amount: str
    act_name: str
    #: Which row it is.
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A worksheet with cards."""

    #: The worksheet's name; one of this name that is there already is replaced.
    name: str
    title: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class _Style:
    fill: str
    colour: str
    #: In points.
    size: int
    bold: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """Merged cells; rows and columns from 0."""

    row: int
    column: int
    words: str
    style: _Style


#: The lines of a card from the top: field, height in points, looks. The longest greeting takes four lines.
_LINES: Final[Sequence[tuple[str, float, _Style]]] = (
    ("send_name", 42, _Style(_RED, _GOLD, 13)),
    ("wishing", 96, _Style(_RED, _GOLD, 15, bold=True)),
    ("amount", 54, _Style(_RED, _GOLD, 24, bold=True)),
    ("act_name", 30, _Style(_DARK_RED, _GOLD, 11)),
    ("caption", 30, _Style(_WHITE, _GREY, 10)),
)
_TITLE: Final = _Style(_WHITE, _GREY, 12)
_TITLE_HEIGHT: Final = 36.0


def _blocks(preview: Preview) -> Iterator[_Block]:
    """Row by row, as XlsxWriter wants them."""
    yield _Block(0, 1, preview.title, _TITLE)
    for first in range(0, len(preview.cards), _CARDS_ABREAST):
        down = 1 + first // _CARDS_ABREAST * len(_LINES)
        for at, (field, _, style) in enumerate(_LINES):
            for across, card in enumerate(preview.cards[first : first + _CARDS_ABREAST]):
                yield _Block(down + at, 1 + across * (_CARD_COLUMNS + 1), getattr(card, field), style)


def _heights(preview: Preview) -> Iterator[tuple[int, float]]:
    yield 0, _TITLE_HEIGHT
    for down in range(-(-len(preview.cards) // _CARDS_ABREAST)):
        for at, (_, height, _) in enumerate(_LINES):
            yield 1 + down * len(_LINES) + at, height


def _widths() -> Iterator[tuple[int, float]]:
    for column in range(1 + _CARDS_ABREAST * (_CARD_COLUMNS + 1)):
        yield column, _GAP_WIDTH if column % (_CARD_COLUMNS + 1) == 0 else _COLUMN_WIDTH


def _last_column(block: _Block) -> int:
    wide = _CARD_COLUMNS if block.row else _CARDS_ABREAST * (_CARD_COLUMNS + 1) - 1
    return block.column + wide - 1


def add_preview(book: Workbook, preview: Preview) -> None:
    """Add the worksheet behind those of an openpyxl workbook."""
    from openpyxl.styles import Alignment, Font, PatternFill

    if preview.name in book.sheetnames:
        del book[preview.name]
    sheet = book.create_sheet(preview.name)
    sheet.sheet_view.showGridLines = False
    for column, width in _widths():
        sheet.column_dimensions[column_letters(column)].width = width
    for row, height in _heights(preview):
        sheet.row_dimensions[row + 1].height = height
    for block in _blocks(preview):
        row, first, last = block.row + 1, block.column + 1, _last_column(block) + 1
        for column in range(first, last + 1):
            sheet.cell(row, column).fill = PatternFill("solid", fgColor=block.style.fill)
        cell: Any = sheet.cell(row, first)
        cell.value = block.words
        cell.data_type = "s"  # explicitly: openpyxl takes whatever begins with "=" for a formula
        cell.font = Font(color=block.style.colour, size=block.style.size, bold=block.style.bold)
        cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)
        sheet.merge_cells(start_row=row, end_row=row, start_column=first, end_column=last)
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9  # A4
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def write_preview(book: Any, preview: Preview) -> None:
    """Add the worksheet behind those of an XlsxWriter workbook."""
    sheet = book.add_worksheet(preview.name)
    sheet.hide_gridlines(2)
    for column, width in _widths():
        sheet.set_column(column, column, width)
    heights = dict(_heights(preview))
    for block in _blocks(preview):
        style = book.add_format(
            {
                "bg_color": f"#{block.style.fill}",
                "font_color": f"#{block.style.colour}",
                "font_size": block.style.size,
                "bold": block.style.bold,
                "align": "center",
                "valign": "vcenter",
                "text_wrap": True,
                "num_format": "@",
            }
        )
        sheet.set_row(block.row, heights[block.row])
        sheet.merge_range(block.row, block.column, block.row, _last_column(block), "", style)
        put_text(sheet, block.row, block.column, block.words, style)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 1)
