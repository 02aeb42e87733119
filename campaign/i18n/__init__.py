"""Sentences in the reader's language. English is the catalogue's key; ``make messages`` keeps it."""

from __future__ import annotations

import gettext
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from campaign.text import Text

Language = Literal["zh_CN", "en"]

DOMAIN: Final = "campaign"
LOCALE: Final = Path(__file__).parent / "locale"

_SEPARATOR: Final[Mapping[Language, str]] = {"zh_CN": "、", "en": ", "}


def choose_language(option: str | None, settings_lang: str | None, environ: Mapping[str, str]) -> Language:
    """``--lang``, else ``[campaign] lang``, else the environment; any zh is 简体中文, all else English."""
    asked = option or settings_lang
    if not asked:
        names = ("LC_ALL", "LC_MESSAGES", "LANG")
        asked = next((environ[name] for name in names if environ.get(name)), "")
    return "zh_CN" if asked.strip().lower().startswith("zh") else "en"


def language_in(settings_file: Path) -> str:
    """``[campaign] lang`` of a settings file that may be broken otherwise; empty where it says nothing.

    Read here and alone, so that the file's mistakes, and help, are in its language.
    """
    import tomllib

    try:
        lang = tomllib.loads(settings_file.read_text(encoding="utf-8-sig"))["campaign"]["lang"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return lang if isinstance(lang, str) else ""


class Speech:
    """Says a `Text` in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def say(self, sentence: Text) -> str:
        """The sentence with its facts filled in. A fact that does not fit never loses the sentence."""
        facts = {name: self._fact(fact) for name, fact in sentence.facts.items()}
        for template in (self.translate(sentence.template), sentence.template):
            try:
                return string.Formatter().vformat(template, (), facts) if facts else template
            except (LookupError, ValueError, TypeError, AttributeError):
                continue
        return sentence.template

    def translate(self, template: str) -> str:
        """The template in this language; itself where there is none."""
        return _catalogue(self.language).gettext(template) if template else ""

    def _fact(self, fact: object) -> object:
        if isinstance(fact, Text):
            return self.say(fact)
        if isinstance(fact, tuple | list):
            return _SEPARATOR[self.language].join(str(self._fact(part)) for part in fact)
        return fact


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE, [language], fallback=language == "en")
