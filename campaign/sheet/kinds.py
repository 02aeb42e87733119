"""Columns that ask for another kind of packet than the ordinary one: refused, with the reason (R1)."""

from __future__ import annotations

import unicodedata
from typing import Final

from campaign.domain.checks import Finding
from campaign.sheet.cells import PLACEHOLDERS, Cell, text_of
from campaign.text import text

_ORDINARY: Final = frozenset({"", "normal", "ordinary", "普通", "普通红包", "现金红包", "sendredpack"})
_GROUP: Final = frozenset(
    {"group", "fission", "裂变", "裂变红包", "群红包", "拼手气", "拼手气红包", "sendgroupredpack"}
)
_MINI_PROGRAM: Final = frozenset(
    {"miniprogram", "mini_program", "小程序", "小程序红包", "sendminiprogramhb", "mini_program_jsapi"}
)


def check_kind(field: str, cell: Cell) -> Finding | None:
    """What is wrong with the kind of packet that the cell asks for.

    Args:
        field: ``hb_type``, ``type``, ``total_num``, ``amt_type`` or ``notify_way``.
    """
    value = unicodedata.normalize("NFKC", text_of(cell)).strip().casefold()
    if value in PLACEHOLDERS or value in _ORDINARY:
        return None
    match field:
        case "total_num":
            return None if value == "1" else _GROUP_CLOSED
        case "amt_type":
            return _GROUP_CLOSED
        case "notify_way":
            return _NEEDS_FRONT_END
        case _ if value in _GROUP:
            return _GROUP_CLOSED
        case _ if value in _MINI_PROGRAM:
            return _NEEDS_FRONT_END
        case "hb_type":
            return _UNKNOWN_KIND
        case _:
            return None  # a column called "type" is nearly always about the person


_GROUP_CLOSED: Final = Finding(
    text("this asks for a group packet (裂变红包), which WeChat Pay shut down on 2024-06-05"),
    text("Pay each person an ordinary packet: one row, one packet."),
)
_NEEDS_FRONT_END: Final = Finding(
    text("this asks for a mini-program packet, which only its own mini program can hand to the person"),
    text("Pay an ordinary packet, with the openid under the official account."),
)
_UNKNOWN_KIND: Final = Finding(
    text("this is no kind of red packet that WeChat Pay knows"),
    text("Leave the cell empty: only ordinary packets are paid."),
)
