"""A sentence is said in the chosen language, whatever its facts hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.i18n import Speech, choose_language, language_in
from campaign.text import Text, text


@pytest.mark.parametrize("option, settings_lang, environ, language", [
    ("zh", "en", {"LANG": "en_US.UTF-8"}, "zh_CN"),
    ("zh-CN", None, {}, "zh_CN"),
    ("ZH_TW", None, {}, "zh_CN"),
    ("en", "zh", {"LANG": "zh_CN.UTF-8"}, "en"),
    (None, "zh", {"LANG": "en_US.UTF-8"}, "zh_CN"),
    (None, "", {"LANG": "zh_CN.UTF-8"}, "zh_CN"),
    (None, None, {"LC_ALL": "en_US", "LANG": "zh_CN"}, "en"),
    (None, None, {"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "en_US"}, "zh_CN"),
    (None, None, {"LANG": "C"}, "en"),
    (None, None, {"LANG": "ja_JP.UTF-8"}, "en"),
    (None, None, {}, "en"),
])  # fmt: skip
def test_the_option_then_the_settings_then_the_environment(option, settings_lang, environ, language):
    assert choose_language(option, settings_lang, environ) == language


@pytest.mark.parametrize("content, lang", [
    ('[campaign]\nlang = "zh"\n[nonsense]\n', "zh"),
    ('\ufeff[campaign]\nlang = "zh"\n', "zh"),
    ("[campaign]\nlang = 3\n", ""),
    ("[campaign]\n", ""),
    ("campaign = 3\n", ""),
    ("[campaign\n", ""),
    ("", ""),
])  # fmt: skip
def test_the_settings_language_is_found_even_where_the_rest_is_broken(tmp_path, content, lang):
    (tmp_path / "campaign.toml").write_text(content, encoding="utf-8")
    assert language_in(tmp_path / "campaign.toml") == lang
    assert language_in(tmp_path / "none.toml") == ""


def test_facts_that_are_sentences_are_said_in_the_same_language():
    """However deep, and in lists."""
    sentence = text("Error: {message}", message=text("Error: {message}", message=[text("Options"), "x"]))
    assert Speech("en").say(sentence) == "Error: Error: Options, x"
    assert Speech("zh_CN").say(sentence) == "错误：错误：选项、x"


@pytest.mark.parametrize("sentence", [
    Text("row {row}", {"line": 7}),
    Text("row {row", {"row": 7}),
    Text("row {row:d}", {"row": "seven"}),
    Text("row {row.number}", {"row": 7}),
    Text("row {0}", {"row": 7}),
])  # fmt: skip
@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_a_fact_that_does_not_fit_does_not_lose_the_sentence(sentence, language):
    assert Speech(language).say(sentence) == sentence.template


def test_braces_in_a_fact_are_only_text():
    assert Speech("en").say(text("Error: {message}", message="{0} {x}")) == "Error: {0} {x}"


def test_an_empty_sentence_is_empty():
    """Not the catalogue's header, which is stored under the empty key."""
    assert Speech("zh_CN").say(Text("")) == ""


@given(
    template=st.text(max_size=60),
    facts=st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers()),
)
def test_saying_never_raises(template, facts):
    for language in ("zh_CN", "en"):
        assert isinstance(Speech(language).say(Text(template, facts)), str)
