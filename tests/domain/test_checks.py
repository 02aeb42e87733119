"""The field rules: bytes not characters, limits exclusive as measured (R2.3), BMP only, amount bands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.checks import (
    BYTES_MAX,
    REQUIRED_TEXTS,
    SCENES,
    check_amount,
    check_field,
    check_openid,
    check_risk_info,
    check_scene,
    check_text,
    encoded_risk_info,
)


def said(findings: tuple[object, ...]) -> str:
    return " / ".join(str(finding.problem) for finding in findings)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "field, characters, ok",
    [
        ("send_name", 10, True),  # 30 bytes
        ("send_name", 11, False),  # 33
        ("act_name", 10, True),
        ("act_name", 11, False),
        ("wishing", 42, True),  # 126
        ("wishing", 43, False),  # 129
        ("remark", 85, True),  # 255
        ("remark", 86, False),
    ],
)
def test_a_chinese_character_counts_three_bytes(field: str, characters: int, ok: bool) -> None:
    assert (check_text(field, "红" * characters) == ()) is ok


@pytest.mark.parametrize("field", REQUIRED_TEXTS)
def test_the_last_byte_that_fits_and_the_first_that_does_not(field: str) -> None:
    limit = BYTES_MAX[field]
    assert check_text(field, "a" * limit) == ()
    assert f"{limit + 1} bytes" in said(check_text(field, "a" * (limit + 1)))


def test_the_campaign_names_measured_on_the_live_interface() -> None:
    assert check_text("act_name", "2017年度四季度微信抽奖") == ()
    assert "37 bytes" in said(check_text("act_name", "2017年度四季度微信抽奖活动"))


@pytest.mark.parametrize("field", REQUIRED_TEXTS)
def test_a_required_text_that_is_missing(field: str) -> None:
    assert "missing" in said(check_field(field, ""))


@pytest.mark.parametrize("field", ["scene_id", "risk_info"])
def test_what_is_optional_may_be_missing(field: str) -> None:
    assert check_field(field, "") == ()


@pytest.mark.parametrize(
    "wish, named, offered",
    [
        ("𠮷祥", "𠮷 (U+20BB7)", "吉祥"),
        ("新年快乐🧧", "U+1F9E7", "新年快乐红包"),
        ("𝟖𝟖 大吉", "U+1D7D6", "88 大吉"),
        ("😀", "U+1F600", None),
    ],
)
def test_characters_beyond_the_bmp_are_named_and_a_replacement_offered(
    wish: str, named: str, offered: str | None
) -> None:
    (finding,) = check_text("wishing", wish)
    assert named in str(finding.problem)
    if offered:
        assert str(finding.advice).endswith(offered)
    else:
        assert "Remove or replace" in str(finding.advice)


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\x00", "\x0b", "\x7f", "\x85", "\u2028", "\ufffe", "\ud800"]
)
def test_control_characters_are_named(character: str) -> None:
    (finding,) = check_text("wishing", f"a{character}b")
    assert f"U+{ord(character):04X}" in str(finding.problem)


def test_one_text_can_have_several_findings() -> None:
    assert len(check_text("act_name", "🧧\n" * 20)) == 3


@pytest.mark.parametrize(
    "fen, scene_id, ok",
    [
        (99, "", False),
        (100, "", True),
        (20_000, "", True),
        (20_001, "", False),
        (0, "", False),
        (-1, "PRODUCT_2", False),
        (0, "PRODUCT_2", False),
        (1, "PRODUCT_2", True),
        (499_900, "PRODUCT_2", True),
        (499_901, "PRODUCT_2", False),
    ],
)
def test_the_bands_of_an_amount(fen: int, scene_id: str, ok: bool) -> None:
    assert (check_amount(fen, scene_id) == ()) is ok


def test_beyond_the_band_the_scene_is_advised_only_where_it_helps() -> None:
    assert "scene_id" in str(check_amount(20_001, "")[0].advice)
    assert "scene_id" not in str(check_amount(500_000, "")[0].advice)
    assert "zero" in said(check_amount(0, ""))


@pytest.mark.parametrize("openid", ["o6_bmjrPTlm6_2sgVt7hMZOPfL2M", "oA", "a" * 31, "o-_0"])
def test_openids(openid: str) -> None:
    assert check_openid(openid) == ()


@pytest.mark.parametrize(
    "openid, named",
    [
        ("", "missing"),
        ("a" * 32, "32 characters"),
        ("oA B", "U+0020"),
        ("oA\n", "U+000A"),
        ("oА", "U+0410"),  # a Cyrillic A
        ("o１", "U+FF11"),
    ],
)
def test_not_openids(openid: str, named: str) -> None:
    assert named in said(check_openid(openid))


def test_strange_characters_are_told_as_a_list() -> None:
    """So that each language lists them in its own way; the first five of them."""
    (finding,) = check_openid("一二三四")
    named = ("一 (U+4E00)", "二 (U+4E8C)", "三 (U+4E09)", "四 (U+56DB)")
    assert finding.problem.facts["characters"] == named
    assert "一 (U+4E00), 二 (U+4E8C), 三" in str(finding.problem)
    (finding,) = check_openid("一二三四五六一")
    assert str(finding.problem).endswith("四 (U+56DB), 五 (U+4E94) …")


def test_scenes() -> None:
    assert all(check_scene(scene) == () for scene in SCENES)
    assert all(check_scene(scene) for scene in ("PRODUCT_0", "PRODUCT_9", "product_2", "抽奖"))


@pytest.mark.parametrize(
    "risk_info, ok",
    [
        ("posttime%3d123123412%26clientversion%3d234134%26mobile%3d122344545%26deviceid%3dIOS", True),
        ("posttime%3D1736900000%26clientversion%3D1.0", True),
        ("posttime%3D", False),
        ("posttime", False),
        ("colour%3Dred", False),
        ("posttime=1", False),  # must be encoded
        ("posttime%3D1%2", False),
        ("deviceid%3D" + "a" * 117, True),  # 128
        ("deviceid%3D" + "a" * 118, False),
    ],
)
def test_risk_hints(risk_info: str, ok: bool) -> None:
    assert (check_risk_info(risk_info) == ()) is ok


def test_plain_risk_hints_are_encoded_once() -> None:
    assert encoded_risk_info("posttime=1&clientversion=1.0") == "posttime%3D1%26clientversion%3D1.0"
    assert encoded_risk_info("posttime%3d1") == "posttime%3d1"
    assert encoded_risk_info("") == ""


@given(st.text(max_size=60))
def test_what_passes_is_short_printable_and_within_the_bmp(value: str) -> None:
    if check_text("act_name", value) == ():
        assert 0 < len(value.encode()) < 32
        assert max(value) < "\U00010000"
        assert not any(c < " " for c in value)


@given(st.text(max_size=40))
def test_an_openid_that_passes_needs_no_escaping_anywhere(value: str) -> None:
    if check_openid(value) == ():
        assert value.isascii()
        assert value.replace("_", "").replace("-", "a").isalnum() or not value.strip("_-")
