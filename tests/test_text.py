"""Sentences stay templates with facts until somebody's language is known."""

from __future__ import annotations

import pickle

import pytest

from campaign.text import Text, display_width, text


@pytest.mark.parametrize(
    "sentence, english",
    [
        (text("row {row} is empty", row=7), "row 7 is empty"),
        (text("nothing to do"), "nothing to do"),
        (text("{a} and {b}", a="{b}", b="x"), "{b} and x"),  # a fact is never a template
        (text("{where}: {what}", where=text("row {row}", row=2), what=text("empty")), "row 2: empty"),
        (text("{total:,} fen", total=12345), "12,345 fen"),
        (text("用户 {name}", name="王"), "用户 王"),
    ],
)
def test_the_english_sentence(sentence, english):
    assert str(sentence) == english
    assert f"{sentence}" == english


def test_a_sentence_without_facts_may_hold_braces():
    """Some show a shape, like ``{"total": …}``."""
    assert str(text('{"total": 1}')) == '{"total": 1}'


def test_the_template_is_the_catalogues_key_and_facts_are_kept_apart():
    sentence = text("row {row} is empty", row=7)
    assert (sentence.template, sentence.facts) == ("row {row} is empty", {"row": 7})
    assert sentence == Text("row {row} is empty", {"row": 7})
    assert sentence != text("row {row} is empty", row=8)


def test_a_fact_may_be_called_template():
    """The template is positional only, so no fact can collide with it."""
    assert str(text("{template}", template="x")) == "x"


def test_a_missing_fact_is_a_bug_that_shows():
    with pytest.raises(KeyError):
        str(text("row {row}", line=7))


def test_it_survives_a_worker_process():
    sentence = text("row {row}", row=text("seven"))
    assert pickle.loads(pickle.dumps(sentence)) == sentence


def test_a_chinese_character_is_two_columns_wide():
    assert display_width("ab元宵") == 6
