"""What the reader removed, understood or found strange without being wrong: said once, with the rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from campaign.domain.checks import FIELD_NAMES
from campaign.domain.occurrences import rows_text
from campaign.sheet.cells import Cleaned
from campaign.text import Text, text


class Remarks:
    """Collects rows by field and kind."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Cleaned], array[int]] = {}

    def add(self, field: str, kind: Cleaned, row: int) -> None:
        rows = self._rows.get((field, kind))
        if rows is None:
            rows = self._rows[field, kind] = array("L")
        rows.append(row)

    def notes(self) -> Iterable[Text]:
        """One sentence for each field and kind, in the order of their first appearance."""
        return [
            _sentence(kind, FIELD_NAMES[field], rows_text(rows)) for (field, kind), rows in self._rows.items()
        ]


def _sentence(kind: Cleaned, field: Text, rows: Text) -> Text:
    match kind:
        case Cleaned.BLANKS:
            return text(
                "{field}: blanks or invisible characters around it were removed in {rows}",
                field=field,
                rows=rows,
            )
        case Cleaned.WIDTH:
            return text(
                "{field}: full-width characters were read as plain ones in {rows}", field=field, rows=rows
            )
        case Cleaned.APOSTROPHE:
            return text("{field}: a leading apostrophe was removed in {rows}", field=field, rows=rows)
        case Cleaned.CURRENCY:
            return text(
                "{field}: currency signs, units or thousands separators were understood in {rows}",
                field=field,
                rows=rows,
            )
        case Cleaned.PLACEHOLDER:
            return text(
                "{field}: looks like a placeholder (such as NA or -) and is sent as it stands in {rows}",
                field=field,
                rows=rows,
            )
        case Cleaned.SHAPE:
            return text(
                "{field}: not 28 characters beginning with o, or without any capital letter, in {rows}; "
                "perhaps cut, lower-cased, or not an openid at all",
                field=field,
                rows=rows,
            )
