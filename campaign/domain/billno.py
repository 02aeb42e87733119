"""The bill number (mch_billno) of a row: derived from content, the same on every machine.

``mch_billno = mch_id + digest``, 28 characters (R2.1). The digest is taken from BLAKE2b over an
unambiguous encoding of (scheme, mch_id, campaign id, row key, issue number) and written in upper-case
Crockford base 32: digits and capitals without I, L, O and U, so a store that ignores case cannot
merge two numbers. WeChat's suggested mch_id + date + ten digits is not used: ten digits cannot be
derived from content without collisions, and a counter dies with the ledger.

Everything in this module is frozen by ``SCHEME``: a change of any canonical form would give people
who were paid a second number. The golden vectors in the tests hold it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SCHEME: Final = 1
BILLNO_LENGTH: Final = 28
#: 28 characters less a merchant number of ten leave 90 bits; fewer than 12 characters would not be safe.
MCH_ID_PATTERN: Final = re.compile(r"[0-9]{8,16}")
ISSUE_MAX: Final = 999

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NONCE_LENGTH: Final = 30  # "fewer than 32" by the error texts (R2.1)
_CHECK_LENGTH: Final = 8
#: Unseen characters, and those that this Python does not know: a newer one may normalise them otherwise.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """The reserved columns of a sheet that we wrote: they alone give the number (section 3)."""

    campaign: str
    row_key: str
    issue: int


def canonical_campaign_id(name: str) -> str:
    """The campaign's identity from ``--name`` or the sheet's file stem: NFKC, case-folded, trimmed.

    Raises:
        ValueError: nothing is left, or it holds control, invisible or unassigned characters.
    """
    return _canonical(unicodedata.normalize("NFKC", name).casefold())


def canonical_row_key(key: str) -> str:
    """A row's key as the number sees it: NFKC and trimmed. Case is kept, since openids differ by it.

    Raises:
        ValueError: nothing is left, or it holds control, invisible or unassigned characters.
    """
    return _canonical(key)


def repeat_key(re_openid: str, ordinal: int) -> str:
    """The key of the n-th row of one person under ``--allow-repeats``; n counts from 1.

    The blank cannot occur in an openid, so this never meets another person's key.
    """
    return f"{re_openid} #{ordinal}"


def is_openid_key(row_key: str, re_openid: str) -> bool:
    """Whether the key is this openid, alone or with an ordinal; no other openid has it."""
    openid, _, ordinal = row_key.partition(" #")
    return openid == re_openid and (row_key == openid or ordinal.isdecimal())


def mch_billno(*, mch_id: str, campaign_id: str, row_key: str, issue: int = 1) -> str:
    """Derive the 28-character bill number of a row.

    Args:
        mch_id: the merchant number, digits.
        campaign_id: as `canonical_campaign_id` gives it.
        row_key: as `canonical_row_key` gives it.
        issue: 1; one more only when the earlier number was proven dead.
    """
    if not 1 <= issue <= ISSUE_MAX:
        raise ValueError("issue out of range")
    state = _campaigns_state(mch_id, campaign_id).copy()
    state.update(_encoded_one(row_key) + _ISSUES[issue])
    return mch_id + _base32(state.digest(), BILLNO_LENGTH - len(mch_id))


def first_billnos(*, mch_id: str, campaign_id: str, row_keys: Sequence[str]) -> list[str]:
    """`mch_billno` of each of the keys at issue 1, in half of the time. For some thousands at once."""
    begun, behind = _campaigns_state(mch_id, campaign_id), _ISSUES[1]
    digests = []
    for row_key in row_keys:
        data = row_key.encode()
        state = begun.copy()
        state.update(len(data).to_bytes(8, "big") + data + behind)
        digests.append(state.digest())
    length = BILLNO_LENGTH - len(mch_id)
    return [mch_id + written for written in _base32_of_all(digests, length)]


def nonce_str(billno: str) -> str:
    """The request's nonce, a pure function of the number, so that a repeat is the same bytes (R5.4)."""
    state = _state("nonce_str").copy()
    state.update(_encoded_one(billno))
    return _base32(state.digest(), _NONCE_LENGTH)


def tie_check(tie: Tie, *, mch_id: str) -> str:
    """The ``check`` column: shows that the three other reserved columns were not altered."""
    return _base32(_digest("check", mch_id, tie.campaign, tie.row_key, str(tie.issue)), _CHECK_LENGTH)


def _canonical(name: str) -> str:
    canonical = unicodedata.normalize("NFKC", name).strip()
    if not canonical:
        raise ValueError("empty")
    if any(unicodedata.category(c) in _REFUSED_CATEGORIES for c in canonical):
        raise ValueError("control, invisible or unassigned characters")
    return canonical


@lru_cache(maxsize=64)
def _campaigns_state(mch_id: str, campaign_id: str) -> hashlib.blake2b:
    """What all numbers of a campaign begin with, hashed once instead of a million times."""
    if not MCH_ID_PATTERN.fullmatch(mch_id):
        raise ValueError("mch_id must be 8 to 16 digits")
    return _state("mch_billno", mch_id, campaign_id)


@lru_cache(maxsize=8)
def _state(purpose: str, *parts: str) -> hashlib.blake2b:
    """BLAKE2b over the scheme, the purpose and the first parts; to be copied, never updated."""
    return hashlib.blake2b(_encoded("campaign", str(SCHEME), purpose, *parts), digest_size=_DIGEST_BYTES)


def _digest(purpose: str, *parts: str) -> bytes:
    state = _state(purpose).copy()
    state.update(_encoded(*parts))
    return state.digest()


def _encoded(*parts: str) -> bytes:
    """Length-prefixed parts: no two different lists of parts share an encoding."""
    return b"".join(map(_encoded_one, parts))


def _encoded_one(part: str) -> bytes:
    data = part.encode()
    return len(data).to_bytes(8, "big") + data


_DIGEST_BYTES: Final = 32
#: Each issue number as `_encoded` has it.
_ISSUES: Final = [_encoded(str(issue)) for issue in range(ISSUE_MAX + 1)]
#: What 15 bits become: three characters at once.
_TRIPLES: Final = [a + b + c for c in _CROCKFORD for b in _CROCKFORD for a in _CROCKFORD]
#: The lowest five bits of a byte as a character.
_IN_CROCKFORD: Final = _CROCKFORD.encode() * 8
#: For each step of `_base32_of_all` by how many bits groups move, and which: those whose place among all has
#: this power of two, where the steps before have brought them.
_MOVING: Final = [
    (3 * half, sum(0x1F << 5 * place + 3 * (place & -2 * half) for place in range(30) if place & half))
    for half in (16, 8, 4, 2, 1)
]


def _base32(digest: bytes, length: int) -> str:
    """The digest's last bits, five a character, the lowest first; at most 30 characters.

    Thirty bits at a time, as Python does itself: a million rows ask for two million of these.
    """
    three = _TRIPLES
    bits = int.from_bytes(digest[-19:], "big")
    a, b, c = bits & 0x3FFFFFFF, bits >> 30 & 0x3FFFFFFF, bits >> 60 & 0x3FFFFFFF
    first = f"{three[a & 0x7FFF]}{three[a >> 15]}{three[b & 0x7FFF]}{three[b >> 15]}"
    if length <= 18:
        return f"{first}{three[c & 0x7FFF]}{three[c >> 15]}"[:length]
    d, e = bits >> 90 & 0x3FFFFFFF, bits >> 120 & 0x3FFFFFFF
    second = f"{three[c & 0x7FFF]}{three[c >> 15]}{three[d & 0x7FFF]}{three[d >> 15]}"
    return f"{first}{second}{three[e & 0x7FFF]}{three[e >> 15]}"[:length]


def _base32_of_all(digests: Sequence[bytes], length: int) -> list[str]:
    """`_base32` of each of the digests, which lie side by side in one long integer.

    All of them are written in five steps: groups of five bits move apart, sixteen from the sixteen behind
    them, then eight from eight, until each has a byte of its own.
    """
    count = len(digests)
    bits = int.from_bytes(b"".join(reversed(digests)), "big") & _side_by_side((1 << 5 * length) - 1, count)
    for step, moving in _MOVING:
        moved = bits & _side_by_side(moving, count)
        bits ^= moved ^ moved << step
    written = bits.to_bytes(_DIGEST_BYTES * count, "little").translate(_IN_CROCKFORD).decode()
    return [written[at : at + length] for at in range(0, len(written), _DIGEST_BYTES)]


@lru_cache(maxsize=32)
def _side_by_side(bits: int, count: int) -> int:
    """The same bits for each of so many digests."""
    return int.from_bytes(bits.to_bytes(_DIGEST_BYTES, "big") * count, "big")
