"""The field rules of ``sendredpack`` (R2.1-2.4), one definition each: pure, on strings and fen.

WeChat Pay's error texts say "fewer than 32"; measured on the live interface the limits count bytes of
UTF-8 and are exclusive (R2.3), so 31 is the largest length that is safe.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from campaign.domain.money import yuan_text
from campaign.text import Text, text

#: Bytes of UTF-8 that a field may have (R2.3).
BYTES_MAX: Final[Mapping[str, int]] = {
    "re_openid": 31,
    "send_name": 31,
    "act_name": 31,
    "wishing": 127,
    "remark": 255,
    "risk_info": 128,
}
#: Fen; the band of a packet without a scene (R2.2, error MONEY_LIMIT).
PLAIN_FEN_MIN: Final = 100
PLAIN_FEN_MAX: Final = 20_000
#: Fen; with a scene the merchant's own quota decides, and this is the most that was ever documented (R2.2).
SCENE_FEN_MAX: Final = 499_900
#: R2.1. Must be true: a false scene can be sanctioned.
SCENES: Final[Mapping[str, str]] = {
    "PRODUCT_1": "商品促销",
    "PRODUCT_2": "抽奖",
    "PRODUCT_3": "虚拟物品兑奖",
    "PRODUCT_4": "企业内部福利",
    "PRODUCT_5": "渠道分润",
    "PRODUCT_6": "保险回馈",
    "PRODUCT_7": "彩票派奖",
    "PRODUCT_8": "税务刮奖",
}
RISK_KEYS: Final = ("posttime", "mobile", "deviceid", "clientversion")

#: The texts that every packet must carry (R2.1).
REQUIRED_TEXTS: Final = ("wishing", "send_name", "act_name", "remark")
OPTIONAL_TEXTS: Final = ("scene_id", "risk_info")

#: What a field is called when we speak with people; its name at WeChat Pay stands beside it.
FIELD_NAMES: Final[Mapping[str, Text]] = {
    "re_openid": text("openid"),
    "total_amount": text("amount"),
    "id": text("id"),
    "wishing": text("greeting (wishing)"),
    "send_name": text("sender (send_name)"),
    "act_name": text("campaign name (act_name)"),
    "remark": text("remark"),
    "scene_id": text("scene (scene_id)"),
    "risk_info": text("risk hints (risk_info)"),
}

_OPENID: Final = re.compile(r"[A-Za-z0-9_-]{1,31}")
_FOREIGN_TO_OPENID: Final = re.compile(r"[^A-Za-z0-9_-]")
#: What XML 1.0 forbids, what breaks a line, and half characters that no encoding can write (R7.3).
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_BEYOND_BMP: Final = re.compile("[\U00010000-\U0010ffff]")
#: Rare characters of names with the common form that banks and registries accept in their place.
_COMMON_FORMS: Final = {"𠮷": "吉", "𠀋": "丈", "𡈽": "土", "𣘺": "橋", "𡌛": "堃", "𨭎": "喜", "🧧": "红包"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one value, and what to do about it."""

    problem: Text
    advice: Text


def check_openid(re_openid: str) -> tuple[Finding, ...]:
    """An openid: at most 31 characters of ``[A-Za-z0-9_-]`` (R2.1)."""
    if _OPENID.fullmatch(re_openid):
        return ()
    if not re_openid:
        return (_missing("re_openid"),)
    if strange := _FOREIGN_TO_OPENID.findall(re_openid):
        return (
            Finding(
                text(
                    "the openid holds characters that no openid has: {characters}", characters=_named(strange)
                ),
                text("Copy the openid again from the official account's list of followers."),
            ),
        )
    return (
        Finding(
            text(
                "the openid has {length} characters; at most {limit} are possible",
                length=len(re_openid),
                limit=BYTES_MAX["re_openid"],
            ),
            text("Copy the openid again; perhaps two of them ran together."),
        ),
    )


def check_amount(total_amount: int, scene_id: str) -> tuple[Finding, ...]:
    """The amount's band, in fen (R2.2): ¥1.00 to ¥200.00, wider where a scene is given."""
    least, most = (1, SCENE_FEN_MAX) if scene_id else (PLAIN_FEN_MIN, PLAIN_FEN_MAX)
    if least <= total_amount <= most:
        return ()
    shown = yuan_text(total_amount)
    if total_amount < 1:
        return (
            Finding(
                text("the amount is zero"),
                text("Enter an amount, or remove the row if nothing is to be paid."),
            ),
        )
    if total_amount > SCENE_FEN_MAX:
        return (
            Finding(
                text(
                    "¥{yuan} is more than any red packet may hold: ¥{most}",
                    yuan=shown,
                    most=yuan_text(SCENE_FEN_MAX),
                ),
                text("Check the amount and its unit. A larger sum needs several packets."),
            ),
        )
    return (
        Finding(
            text(
                "¥{yuan} is outside ¥{least} to ¥{most}, the band of a packet without a scene",
                yuan=shown,
                least=yuan_text(least),
                most=yuan_text(most),
            ),
            text(
                "Check the amount and its unit. If it is right, give the true scene_id (PRODUCT_1 to "
                "PRODUCT_8), for which WeChat Pay must have approved an amount."
            ),
        ),
    )


def check_text(field: str, value: str) -> tuple[Finding, ...]:
    """A text that people may see: present, writable, in the BMP, short enough in bytes (R2.3, R7.3)."""
    if not value:
        return (_missing(field),)
    return tuple(_text_findings(field, value))


def check_scene(scene_id: str) -> tuple[Finding, ...]:
    """A scene of R2.1, or empty."""
    if not scene_id or scene_id in SCENES:
        return ()
    return (
        Finding(
            text("WeChat Pay knows no scene of this name"),
            text(
                "Use PRODUCT_1 to PRODUCT_8, as the scene was declared on the merchant platform, "
                "or leave it empty."
            ),
        ),
    )


def check_risk_info(risk_info: str) -> tuple[Finding, ...]:
    """URL-encoded ``key=value&…`` of the four known keys, at most 128 bytes (R2.4); or empty."""
    if not risk_info:
        return ()
    encoded = re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+", risk_info)
    pairs = [pair.partition("=") for pair in unquote(risk_info).split("&")]
    if not encoded or any(key not in RISK_KEYS or not value for key, _, value in pairs):
        return (
            Finding(
                text("these are not risk hints in the form that WeChat Pay takes"),
                text(
                    "Write them like posttime=1736900000&clientversion=1.0; the keys are {keys}.",
                    keys=tuple(RISK_KEYS),
                ),
            ),
        )
    return tuple(_text_findings("risk_info", risk_info))


def encoded_risk_info(risk_info: str) -> str:
    """The form that is sent and signed (R2.4): plain ``key=value&…`` is URL-encoded once, the rest kept."""
    return quote(risk_info, safe="") if "=" in risk_info else risk_info


def check_field(field: str, value: str) -> tuple[Finding, ...]:
    """The rule for one text of ``REQUIRED_TEXTS`` or ``OPTIONAL_TEXTS``."""
    if field == "scene_id":
        return check_scene(value)
    if field == "risk_info":
        return check_risk_info(value)
    return check_text(field, value)


def _missing(field: str) -> Finding:
    return Finding(text("{field} is missing", field=FIELD_NAMES[field]), text("Fill it in."))


def _text_findings(field: str, value: str) -> Iterable[Finding]:
    if controls := _CONTROL.findall(value):
        yield Finding(
            text(
                "{field} holds line breaks or control characters: {characters}",
                field=FIELD_NAMES[field],
                characters=_named(controls),
            ),
            text("Remove them; the text must be one plain line."),
        )
    if beyond := _BEYOND_BMP.findall(value):
        replaced = "".join(_common_form(c) for c in value)
        yield Finding(
            text(
                "{field} holds characters that WeChat Pay does not take (emoji, rare characters): "
                "{characters}",
                field=FIELD_NAMES[field],
                characters=_named(beyond),
            ),
            text("Remove or replace them.")
            if _BEYOND_BMP.search(replaced)
            else text("Replace them, for example: {replaced}", replaced=replaced),
        )
    length, limit = len(value.encode(errors="replace")), BYTES_MAX[field]
    if length > limit:
        yield Finding(
            text(
                "{field} has {length} bytes; at most {limit} are possible",
                field=FIELD_NAMES[field],
                length=length,
                limit=limit,
            ),
            text("Shorten it: a Chinese character counts as 3 bytes, a letter or digit as 1."),
        )


def _common_form(character: str) -> str:
    """The character itself, or what may stand for it within the BMP."""
    if not _BEYOND_BMP.match(character):
        return character
    return _COMMON_FORMS.get(character) or unicodedata.normalize("NFKC", character)


def _named(characters: Iterable[str]) -> tuple[str, ...]:
    """``吉 (U+5409), …``: each once, the first five, so that also invisible ones can be looked for."""
    distinct = list(dict.fromkeys(characters))
    names = [f"{c} (U+{ord(c):04X})" if c.isprintable() else f"U+{ord(c):04X}" for c in distinct[:5]]
    return (*names[:-1], names[-1] + " …") if len(distinct) > len(names) else tuple(names)
