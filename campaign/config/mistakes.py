"""What is wrong with a settings file, in sentences: place, cause, next step. No value is ever repeated."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from campaign.config.model import Refusal, Settings
from campaign.errors import SetupError
from campaign.text import Text, text

_ENVIRONMENT: Final = "CAMPAIGN_"

#: What the keys that have no default are for.
_PURPOSES: Final[Mapping[tuple[str, ...], Text]] = {
    ("limits", "campaign_yuan"): text(
        "is missing: the most that one campaign may spend, in yuan. There is no default for it"
    ),
    ("limits",): text(
        "is missing: it must give campaign_yuan, the most that one campaign may spend, in yuan"
    ),
    ("merchant", "mch_id"): text("is missing: the merchant number (商户号)"),
    ("merchant", "wxappid"): text("is missing: the appid of the official account that people follow"),
    ("merchant", "api_key"): text('is missing: where the APIv2 key is, as "env:WECHATPAY_API_KEY"'),
    ("merchant",): text("is missing: merchant number, appid, key and certificate"),
}


def describe(error: ValidationError, *, file: Path, source: str) -> SetupError:
    """Every mistake of a settings file as one error.

    Args:
        source: the file's text, to find the lines in.
    """
    found = [
        mistake(tuple(str(part) for part in detail["loc"]), _cause(detail), file=file, source=source)
        for detail in error.errors(include_input=False, include_url=False)
        if not _explained_before(detail["loc"], error)
    ]
    return as_error(found)


def as_error(found: Sequence[Text]) -> SetupError:
    """One error for all mistakes found."""
    lines = Text(
        "\n".join(f"{{line{n}}}" for n in range(len(found))), {f"line{n}": m for n, m in enumerate(found)}
    )
    return SetupError(
        lines,
        advice=text(
            "Correct the settings. `campaign init` in an empty folder writes a file that explains each key."
        ),
    )


def mistake(place: Sequence[str], cause: Text, *, file: Path, source: str) -> Text:
    """One sentence: where, which key, what is wrong."""
    table, key = place[0], place[1] if len(place) > 1 else ""
    variable = _variable(table, key)
    if variable:
        return text("Environment variable {variable} {cause}.", variable=variable, cause=cause)
    name = f"[{table}] {key}".rstrip()
    line = line_of(source, table, key)
    if line:
        return text("{file}, line {line}: {name} {cause}.", file=file, line=line, name=name, cause=cause)
    return text("{file}: {name} {cause}.", file=file, name=name, cause=cause)


def unknown(table: str, key: str) -> Text:
    """The sentence for a key, or a table, that does not exist, with the nearest that does."""
    known = _keys(table) if key else list(Settings.model_fields)
    nearest = difflib.get_close_matches(key or table, known, n=1)
    if nearest:
        return text("is not a setting; perhaps {nearest} is meant", nearest=nearest[0])
    return text("is not a setting; there are: {known}", known=tuple(known))


def line_of(source: str, table: str, key: str) -> int:
    """The line, from 1, on which a key (or the table) stands; 0 when it is written in another way."""
    in_table = rf"\s*[\"']?{re.escape(key)}[\"']?\s*="
    at_the_top = rf"\s*{re.escape(table)}\s*(=|\.\s*{re.escape(key)}\b)"
    here = ""
    for number, line in enumerate(source.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            here = header[1].strip("\"'")
            found = here == table and not key
        elif here == table:
            found = bool(key and re.match(in_table, line))
        else:
            found = not here and bool(re.match(at_the_top, line))
        if found:
            return number
    return 0


def _cause(detail: object) -> Text:
    """Pydantic's finding in our words; unknown kinds get a general sentence rather than its English."""
    assert isinstance(detail, Mapping)
    kind, bounds = str(detail["type"]), detail.get("ctx", {})
    place = tuple(str(part) for part in detail["loc"])
    refusal = bounds.get("error")
    if isinstance(refusal, Refusal):
        return refusal.sentence
    if kind == "extra_forbidden":
        return unknown(place[0], place[1] if len(place) > 1 else "")
    if kind == "missing":
        return _PURPOSES.get(place, text("is missing"))
    if kind == "literal_error":
        return text("must be one of {expected}", expected=str(bounds["expected"]).replace(" or ", ", "))
    for bound, sentence in (
        ("gt", text("must be more than {bound}", bound=bounds.get("gt"))),
        ("ge", text("must be at least {bound}", bound=bounds.get("ge"))),
        ("lt", text("must be less than {bound}", bound=bounds.get("lt"))),
        ("le", text("must be at most {bound}", bound=bounds.get("le"))),
    ):
        if bound in bounds:
            return sentence
    return _KINDS.get(kind, text("has a value that does not fit"))


_KINDS: Final[Mapping[str, Text]] = {
    "int_type": text("must be a whole number"),
    "int_parsing": text("must be a whole number"),
    "int_from_float": text("must be a whole number"),
    "int_parsing_size": text("must be a smaller number"),
    "float_type": text("must be a number"),
    "float_parsing": text("must be a number"),
    "finite_number": text("must be a finite number"),
    "string_type": text('must be text in quotes, as "…"'),
    "string_too_long": text("is too long"),
    "string_pattern_mismatch": text("is not in the right form"),
    "tuple_type": text("must be a list"),
    "dict_type": text("must be a table"),
    "model_type": text("must be a table"),
    "model_attributes_type": text("must be a table"),
}


def _explained_before(place: Sequence[object], error: ValidationError) -> bool:
    """A union reports one finding for each of its kinds; the first one is enough."""
    same = [
        d["loc"]
        for d in error.errors(include_input=False, include_url=False)
        if d["loc"][:2] == tuple(place[:2])
    ]
    return same[0] != tuple(place)


def _keys(table: str) -> list[str]:
    field = Settings.model_fields.get(table)
    fields = getattr(field.annotation, "model_fields", {}) if field else {}
    return [inner.alias or name for name, inner in fields.items()]


def _variable(table: str, key: str) -> str:
    """The environment variable that set this key, as it is written there; empty when none did."""
    wanted = f"{_ENVIRONMENT}{table}_{key}".rstrip("_").upper()
    return next((name for name in os.environ if name.upper() == wanted), "")
