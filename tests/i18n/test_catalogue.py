"""Every sentence exists in 简体中文 and English, with the same facts, and the catalogue is compiled."""

from __future__ import annotations

import ast
import gettext
import io
import re
import string
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import campaign
from campaign.cli.frame import GLOBAL_OPTIONS
from campaign.cli.schedule import schedule
from campaign.i18n import DOMAIN, LOCALE, click_words
from tests.readme.reference import commands

PACKAGE = Path(campaign.__file__).parent
FOLDER = LOCALE / "zh_CN" / "LC_MESSAGES"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {"text": (1,), "_": (1,), "ngettext": (1, 2)}


def extracted(folder: Path) -> Iterator[tuple[str, str]]:
    """(where, sentence) of every sentence that is marked in the source; of plurals the singular."""
    for file, line, message, _comments, _context in extract_from_dir(folder, METHODS, keywords=KEYWORDS):
        sentence = message if isinstance(message, str) else message[0]
        if sentence:
            yield f"{file}:{line}", sentence


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    with (FOLDER / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file, locale="zh_CN", domain=DOMAIN)


def translations(message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def test_every_sentence_has_its_chinese(chinese):
    """Collected from the calls of text(), so none can be forgotten; `make messages` adds what is new."""
    missing = [
        f"{where}: {sentence}"
        for where, sentence in extracted(PACKAGE)
        if (message := chinese.get(sentence)) is None or message.fuzzy or not all(translations(message))
    ]
    assert not missing, "\n".join(missing)


def test_every_translation_uses_the_facts_of_its_sentence(chinese):
    """None lost, none invented, and each shown in the same form."""
    wrong = [
        f"{message.id} -> {translation}"
        for message in chinese
        if message.id
        for translation in filter(None, translations(message))
        if not fits(translation, [message.id] if isinstance(message.id, str) else list(message.id))
    ]
    assert not wrong, "\n".join(wrong)


def fits(translation: str, sentences: list[str]) -> bool:
    """Of a plural, what only one of its forms has may be left out."""
    needed = set.intersection(*map(facts, sentences))
    return needed <= facts(translation) <= set.union(*map(facts, sentences))


def facts(sentence: str) -> set[tuple[str, str, str]]:
    """Placeholders in str.format notation and in printf notation (templates)."""
    formats = {
        (name, spec or "", conversion or "")
        for _text, name, spec, conversion in string.Formatter().parse(sentence)
        if name is not None
    }
    return formats | {(found, "%", "") for found in re.findall(r"%\((\w+)\)s", sentence)}


def test_no_sentence_is_left_over(chinese):
    """What nothing says any more is no longer in the catalogue."""
    said = {sentence for _where, sentence in extracted(PACKAGE)}
    kept = {m.id if isinstance(m.id, str) else m.id[0] for m in chinese if m.id}
    assert kept <= said


def test_the_compiled_catalogue_is_fresh(chinese):
    """`make messages` compiles it."""
    compiled = io.BytesIO()
    write_mo(compiled, chinese)
    compiled.seek(0)
    with (FOLDER / f"{DOMAIN}.mo").open("rb") as file:
        assert (
            vars(gettext.GNUTranslations(file))["_catalog"]
            == vars(gettext.GNUTranslations(compiled))["_catalog"]
        )


def test_every_option_that_a_sentence_names_exists():
    """Advice is followed to the letter; an option of another program stands behind its name."""
    params = [
        param for command in (schedule, *(leaf for _, leaf, _ in commands())) for param in command.params
    ]
    known = {name for param in (*params, *GLOBAL_OPTIONS) for name in param.opts} | {"--help"}
    unknown = {
        f"{where}: {name}"
        for where, sentence in extracted(PACKAGE)
        for name in re.findall(r"(?<!systemctl )(--[a-z][a-z-]*)", sentence)
        if name not in known
    }
    assert not unknown


def test_every_template_is_a_literal():
    """A computed one would be in no catalogue."""
    computed = [
        f"{file.relative_to(PACKAGE)}:{call.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "text"
        and not (call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str))
    ]
    assert not computed


def test_what_click_says_is_what_we_translate():
    """A newer click may word things otherwise; then `campaign.i18n.click_words` follows."""
    said = {sentence for _where, sentence in extracted(Path(click.__file__).parent)}
    ours = {word if isinstance(word, str) else word[0] for word in click_words.WORDS}
    assert ours <= said
