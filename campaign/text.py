"""A sentence for a person, kept as a template and its facts until somebody's language is known.

The template is English and is the catalogue's key; ``campaign.i18n`` renders it. Nothing below the
command line formats a sentence itself, so none can be met in one language only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from unicodedata import east_asian_width


@dataclass(frozen=True, slots=True)
class Text:
    """A template in ``str.format`` notation with its facts; a fact may be a Text, or a list of facts."""

    template: str
    facts: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """The English sentence, for logs and for us."""
        if not self.facts:
            return self.template
        return self.template.format(**{name: _plain(fact) for name, fact in self.facts.items()})


def _plain(fact: object) -> object:
    return ", ".join(str(_plain(part)) for part in fact) if isinstance(fact, tuple | list) else fact


def text(template: str, /, **facts: object) -> Text:
    """Mark and hold a sentence: ``text("row {row} is empty", row=7)``.

    ``make messages`` collects the templates from the calls of this function, so the template is
    always a literal.
    """
    return Text(template, facts)


def display_width(words: str) -> int:
    """How many columns words take, in a cell or on a terminal: a Chinese character takes two."""
    if words.isascii():
        return len(words)
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in words)
