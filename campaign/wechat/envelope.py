"""Parameters to XML and back (R7.3). What comes from the network is believed only when it is plain."""

from __future__ import annotations

import codecs
import functools
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from lxml import etree

#: A send's answer has about 1 KB, the longest answer to a question (a group packet of 20) about 5 KB;
#: what is hundreds of times longer is no answer.
BODY_BYTES_MAX: Final = 1024 * 1024

#: The one element of any answer that nests, a list of ``hbinfo`` (R3.2).
HBLIST: Final = "hblist"

#: Flat fields as text; ``hblist`` as a list of such.
Fields: TypeAlias = dict[str, str | list[dict[str, str]]]

# Outside XML 1.0 or the BMP (R7.3), and the carriage return, which a parser turns into a line feed:
# what arrives would not be what was signed.
_UNSENDABLE: Final = re.compile(r"[^\t\n\x20-\uD7FF\uE000-\uFFFD]")
# A field as WeChat Pay writes it: text without markup, bare or in one CDATA section.
_PLAIN_FIELD: Final = re.compile(
    r"(?a:\s{0,8}<([A-Za-z_]\w{0,63})>)(?:<!\[CDATA\[([^\]]*)\]\]>|([^\]<&]*))</\1>"
)
#: The search goes on from every place again; so it stays quick whatever the gateway sends.
_PLAIN_BYTES_MAX: Final = 4096
# What a parser refuses, and the carriage return, which it changes.
_NOT_PLAIN: Final = bytes(code for code in range(0x20) if chr(code) not in "\t\n")
_UTF8_NAMES: Final = frozenset({"UTF-8", "UTF8", "US-ASCII", "ASCII"})


class Malformed(ValueError):
    """Not an answer that one could trust; the message says why and quotes nothing of it."""


def to_xml(parameters: Mapping[str, str]) -> bytes:
    """A request's body: plain numbers bare, everything else in CDATA, in the given order.

    Put together by hand, as lxml would write it, in a quarter of the time; the names are our own.

    Raises:
        ValueError: a value has characters that XML or WeChat Pay cannot take.
    """
    if _UNSENDABLE.search("".join(parameters.values())):
        name = next(name for name, value in parameters.items() if _UNSENDABLE.search(value))
        raise ValueError(f"{name} has characters that cannot be sent")
    fields = [
        f"<{name}>{value}</{name}>"
        if value.isascii() and value.isdigit()
        else f"<{name}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
        for name, value in parameters.items()
    ]
    return f"<xml>{''.join(fields)}</xml>".encode()


def from_xml(body: bytes) -> Fields:
    """Read an answer, or a request: values as they came, untrimmed, so that a signature can be checked.

    Tolerates a BOM, any order, fields unknown, missing or empty, CDATA or bare text.

    Raises:
        Malformed: anything that could be read in two ways, or that only an attacker would send.
    """
    if len(body) > BODY_BYTES_MAX:
        raise Malformed("too long")
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    # Before the parser sees any of it: without a document type there are no entities to expand.
    if "<!DOCTYPE" in text or "\0" in text:
        raise Malformed("has a document type or a NUL")
    fields = _plain(body, text)
    if fields is not None:
        return fields
    root = _parse(body)
    fields = {}
    for name, element in _members(root, "xml"):
        if name in fields:
            raise Malformed("a field twice")
        fields[name] = _hblist(element) if name == HBLIST else _text(element)
    return fields


def _plain(body: bytes, text: str) -> Fields | None:
    """What the parser would read, in a third of its time; None for all but fields of the plainest shape.

    Every send's answer is read, and hardly one of WeChat Pay's has another shape.

    Args:
        text: the body decoded; without a document type.
    """
    if len(body) > _PLAIN_BYTES_MAX or len(body.translate(None, _NOT_PLAIN)) != len(body):
        return None
    if "\ufffe" in text or "\uffff" in text:
        return None
    # What stands before the fields; then of each its name, its CDATA, its bare text, and what follows it.
    head, *parts = _PLAIN_FIELD.split(text)
    if head != "<xml>" or not parts or any(parts[3:-1:4]) or parts[-1].strip("\t\n ") != "</xml>":
        return None
    names = parts[::4]
    fields: Fields = {
        name: cdata or bare or "" for name, cdata, bare in zip(names, parts[1::4], parts[2::4], strict=True)
    }
    return fields if len(fields) == len(names) and HBLIST not in fields else None


def flat(fields: Fields) -> dict[str, str]:
    """The fields without ``hblist``."""
    return {name: value for name, value in fields.items() if isinstance(value, str)}


class _Parsers(threading.local):
    """A parser for each thread: one that threads share makes them wait for each other."""

    @functools.cached_property
    def one(self) -> etree.XMLParser:
        from lxml import etree  # `campaign status` reads the tables of codes, and no answer

        return etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
        )


_parsers: Final = _Parsers()


def _parse(body: bytes) -> etree._Element:
    from lxml import etree

    try:
        root = etree.fromstring(body, _parsers.one)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed("not well-formed XML") from error
    declares = body.startswith(b"<?xml")  # a declaration stands nowhere else
    if declares and (root.getroottree().docinfo.encoding or "UTF-8").upper() not in _UTF8_NAMES:
        raise Malformed("declares another charset than UTF-8")
    return root


def _members(parent: etree._Element, tag: str) -> Iterator[tuple[str, etree._Element]]:
    """Name and element of each child; nothing but white space may stand between them."""
    if parent.tag != tag or (parent.text and not parent.text.isspace()):
        raise Malformed("another shape than fields in one element")
    for child in parent:
        name: Any = child.tag
        tail = child.tail
        # Comments, processing instructions and entities have no name.
        if not isinstance(name, str) or (tail and not tail.isspace()):
            raise Malformed("something between the fields")
        yield name, child


def _text(element: etree._Element) -> str:
    if len(element):
        raise Malformed("a field inside a field")
    return element.text or ""


def _hblist(element: etree._Element) -> list[dict[str, str]]:
    claims = []
    for _, hbinfo in _members(element, HBLIST):
        claim: dict[str, str] = {}
        for name, member in _members(hbinfo, "hbinfo"):
            if name in claim:
                raise Malformed("a field twice")
            claim[name] = _text(member)
        claims.append(claim)
    return claims
