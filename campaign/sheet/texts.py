"""The texts of a row: its own cells, else the settings' ``[packet]``, with ``{column}`` filled in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campaign.domain.checks import SCENES, Finding, check_field, encoded_risk_info
from campaign.domain.order import PacketDefaults
from campaign.sheet import cells
from campaign.sheet.cells import Cell, Cleaned, is_empty, text_of
from campaign.sheet.columns import Columns, header_key
from campaign.sheet.orders import Texted
from campaign.text import text

#: The order of a row's texts.
TEXT_FIELDS: Final = ("wishing", "send_name", "act_name", "remark", "scene_id", "risk_info")
_SCENE: Final = TEXT_FIELDS.index("scene_id")
_TEMPLATES: Final = frozenset({"wishing", "send_name", "act_name", "remark"})
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
#: So many combinations are remembered: a list has few, or one for each row.
_SHARED_MAX: Final = 10_000
_SCENE_BY_NAME: Final = {name: code for code, name in SCENES.items()}


@dataclass(frozen=True, slots=True)
class FieldFinding:
    """Something wrong with one field; ``column`` is None where the value comes from the settings."""

    field: str
    column: int | None
    value: Cell
    finding: Finding


@dataclass(frozen=True, slots=True)
class Texts:
    """A row's texts; one object for all rows with the same cells."""

    #: As ``TEXT_FIELDS``, and the names of those that the settings gave.
    texted: Texted
    findings: tuple[FieldFinding, ...]
    cleaned: tuple[tuple[str, Cleaned], ...]
    #: Place among `TextReader.shared`; None where they are this row's alone.
    place: int | None

    @property
    def scene_id(self) -> str:
        return self.texted[0][_SCENE]


class TextReader:
    """Reads the texts of a sheet's rows; each distinct combination once, as far as there are few."""

    def __init__(self, columns: Columns, defaults: PacketDefaults) -> None:
        self._columns = [(name, columns.fields.get(name)) for name in TEXT_FIELDS]
        self._defaults = {name: cells.plain_text(getattr(defaults, name)).text for name in TEXT_FIELDS}
        self._by_header = {header_key(header): at for at, header in columns.headers.items()}
        self._own_at = [at for _, at in self._columns if at is not None]
        self._known: dict[tuple[str, ...], Texts] = {}
        #: Texts that more than one row may have.
        self.shared: list[Texted] = []

    @property
    def has_columns(self) -> bool:
        """Whether the texts may differ from row to row: some column has them, or a template fills them in."""
        return bool(self._own_at) or any("{" in value or "}" in value for value in self._defaults.values())

    def read(self, row: Sequence[Cell]) -> Texts:
        """The row's texts, cleaned, filled in and checked."""
        key = tuple([cell if type(cell := row[at]) is str else text_of(cell) for at in self._own_at])
        texts = self._known.get(key)
        if texts is None:
            texts = self._read(row)
            if texts.place is not None:
                self.shared.append(texts.texted)
                self._known[key] = texts
        return texts

    def _read(self, row: Sequence[Cell]) -> Texts:
        values: list[str] = []
        findings: list[FieldFinding] = []
        cleaned: list[tuple[str, Cleaned]] = []
        settings: list[str] = []
        filled = False
        for name, column in self._columns:
            cell: Cell = None if column is None else row[column]
            from_settings = is_empty(cell)
            read = cells.plain_text(cell)
            value = self._defaults[name] if from_settings else read.text
            cleaned += [(name, kind) for kind in read.cleaned]
            if name in _TEMPLATES and ("{" in value or "}" in value):
                filled = True
                value, found = self._fill(value, row)
            else:
                value, found = _canonical(name, value), ()
            found = found or check_field(name, value)
            if from_settings:
                settings.append(name)
                findings += [_from_settings(name, column, value, finding) for finding in found]
            else:
                findings += [FieldFinding(name, column, value, finding) for finding in found]
            values.append(value)
        alone = filled or len(self.shared) >= _SHARED_MAX
        return Texts(
            texted=(tuple(values), tuple(settings)),
            findings=tuple(findings),
            cleaned=tuple(cleaned),
            place=None if alone else len(self.shared),
        )

    def _fill(self, template: str, row: Sequence[Cell]) -> tuple[str, tuple[Finding, ...]]:
        """Replace every ``{column}`` by the row's cell; the length is checked on the result."""
        findings: list[Finding] = []

        def cell_text(match: re.Match[str]) -> str:
            at = self._by_header.get(header_key(match[1]))
            value = "" if at is None else cells.plain_text(row[at]).text
            if at is None:
                findings.append(_unknown_placeholder(match[0]))
            elif not value:
                findings.append(_nothing_to_fill_in(match[0]))
            return value

        filled = _PLACEHOLDER.sub(cell_text, template)
        if not findings and ("{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template)):
            findings.append(_LONE_BRACE)
        return filled, tuple(findings)


def _canonical(name: str, value: str) -> str:
    if name == "scene_id":
        narrow = unicodedata.normalize("NFKC", value)
        return _SCENE_BY_NAME.get(narrow, narrow.upper())
    if name == "risk_info":
        return encoded_risk_info(value)
    return value


def _from_settings(name: str, column: int | None, value: str, finding: Finding) -> FieldFinding:
    """Say where the value came from, or that neither the sheet nor the settings give one."""
    if value:
        problem = text(
            "{field} in the settings, under [packet]: {problem}", field=name, problem=finding.problem
        )
        return FieldFinding(name, None, value, Finding(problem, finding.advice))
    advice = text(
        "Fill it in here, or give {field} for all rows in the settings, under [packet].", field=name
    )
    return FieldFinding(name, column, value, Finding(finding.problem, advice))


def _unknown_placeholder(placeholder: str) -> Finding:
    return Finding(
        text("{placeholder} is to be filled in, but the sheet has no such column", placeholder=placeholder),
        text("Write the column's header between the braces exactly, or remove the braces."),
    )


def _nothing_to_fill_in(placeholder: str) -> Finding:
    return Finding(
        text("{placeholder} is to be filled in, but this row's cell is empty", placeholder=placeholder),
        text("Fill in the cell, or write this row's text without the braces."),
    )


_LONE_BRACE: Final = Finding(
    text("a brace opens or closes without its partner"),
    text("Write columns to be filled in as {example}; remove other braces.", example="{姓名}"),
)
