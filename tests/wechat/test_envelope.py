"""XML both ways: what is sent arrives unchanged, and nothing doubtful is read."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from campaign.wechat import envelope
from campaign.wechat.envelope import BODY_BYTES_MAX, Fields, Malformed, from_xml, to_xml
from campaign.wechat.signing import sign_matches
from tests.bench.gateway import accepted
from tests.wechat.test_signing import KEY, REQUEST

#: What WeChat Pay can take: XML 1.0 without the carriage return, one to three bytes each (R7.3).
sendable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"])
    | st.sampled_from("\t\n")
)
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).filter(lambda name: name != "hblist")

# The complete request as R2.9 prints it.
PRINTED = """<xml>
<act_name><![CDATA[春季答谢]]></act_name>
<client_ip>203.0.113.10</client_ip>
<mch_billno>1900000109202501150000000001</mch_billno>
<mch_id>1900000109</mch_id>
<nonce_str>5K8264ILTKCH16CQ2502SI8ZNMTM67VS</nonce_str>
<re_openid><![CDATA[oExampleOpenid0000000000001]]></re_openid>
<remark><![CDATA[A&B <test>]]></remark>
<risk_info><![CDATA[posttime%3D1736900000%26clientversion%3D1.0]]></risk_info>
<scene_id>PRODUCT_2</scene_id>
<send_name><![CDATA[示例商户]]></send_name>
<total_amount>188</total_amount>
<total_num>1</total_num>
<wishing><![CDATA[祝您好运]]></wishing>
<wxappid>wx0123456789abcdef</wxappid>
<sign>4B0A2AF4B4DF23D3D984F41634D4A3A7</sign>
</xml>"""


#: Texts in which sections end, nearly end, and end twice.
cdata_ends = st.text("]>a祝<&\n ", max_size=12)
digits = st.text("0123456789٣１", max_size=6)


# ---------------------------------------------------------------- out


def test_text_goes_in_cdata_and_numbers_bare() -> None:
    body = to_xml({"total_amount": "188", "wishing": "A&B <祝>", "empty": ""})
    assert body.decode() == (
        "<xml><total_amount>188</total_amount>"
        "<wishing><![CDATA[A&B <祝>]]></wishing><empty><![CDATA[]]></empty></xml>"
    )


def test_the_end_of_a_cdata_section_is_split() -> None:
    assert b"<![CDATA[a]]]]><![CDATA[>b]]>" in to_xml({"remark": "a]]>b"})


@pytest.mark.parametrize("value", ["٣", "１８８", "1.88", "-1", "1e3"])
def test_only_plain_digits_are_bare(value: str) -> None:
    assert f"<![CDATA[{value}]]>".encode() in to_xml({"remark": value})


@given(parameters=st.dictionaries(names, sendable, max_size=6))
def test_what_is_sent_arrives_unchanged(parameters: dict[str, str]) -> None:
    assume("<!DOCTYPE" not in "".join(parameters.values()))  # refused wherever it stands, even as a text
    assert from_xml(to_xml(parameters)) == parameters


def by_lxml(parameters: dict[str, str]) -> bytes:
    """The same body through a tree, as a library writes it."""
    root = etree.Element("xml")
    for name, value in parameters.items():
        field = etree.SubElement(root, name)
        field.text = value if value.isascii() and value.isdigit() else etree.CDATA(value)
    return etree.tostring(root, encoding="utf-8")


@given(parameters=st.dictionaries(names, st.one_of(sendable, cdata_ends, digits), min_size=1, max_size=14))
def test_the_body_is_byte_for_byte_what_lxml_would_write(parameters: dict[str, str]) -> None:
    """It is put together by hand because every request needs one."""
    assert to_xml(parameters) == by_lxml(parameters)


@pytest.mark.parametrize(
    "value", ["\x00", "\x08", "\x0b", "\x1f", "\r", "\ud800", "\ufffe", "\uffff", "😀", "𠮷", "ok\x7f\x1b"]
)
def test_what_cannot_be_sent_is_refused(value: str) -> None:
    """Control characters, halves of pairs, and everything beyond the BMP (R0.14)."""
    with pytest.raises(ValueError, match="wishing"):
        to_xml({"wishing": value})


# ---------------------------------------------------------------- in


def test_the_request_of_the_reference_is_read_and_its_signature_holds() -> None:
    fields = from_xml(PRINTED.encode())
    assert fields == {**REQUEST, "sign": "4B0A2AF4B4DF23D3D984F41634D4A3A7"}
    assert sign_matches({name: str(value) for name, value in fields.items()}, KEY)


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff<xml><a>1</a></xml>",
        '<?xml version="1.0" encoding="UTF-8"?><xml><a>1</a></xml>',
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<xml>\n\t<a>1</a>\n</xml>\n',
        '<?xml version="1.0"?><xml><a><![CDATA[1]]></a></xml>',
        "<xml><a>&#49;</a></xml>",
        '<xml version="1"><a type="int">1</a></xml>',
    ],
)
def test_harmless_differences_are_tolerated(body: str) -> None:
    assert from_xml(body.encode()) == {"a": "1"}


def test_missing_empty_and_unknown_fields_are_no_trouble() -> None:
    assert from_xml(b"<xml/>") == {}
    assert from_xml(b"<xml><a></a><b/><new_field>x</new_field></xml>") == {"a": "", "b": "", "new_field": "x"}


def test_values_are_not_trimmed() -> None:
    """A signature covers the blanks too."""
    assert from_xml("<xml><a> \u3000x\n</a></xml>".encode()) == {"a": " \u3000x\n"}


def test_an_hblist_is_a_list_of_claims() -> None:
    body = """<xml><status>RECEIVED</status><hblist>
      <hbinfo><openid>oA</openid><amount>300</amount></hbinfo>
      <hbinfo><openid>oB</openid><status/></hbinfo>
    </hblist></xml>"""
    assert from_xml(body.encode()) == {
        "status": "RECEIVED",
        "hblist": [{"openid": "oA", "amount": "300"}, {"openid": "oB", "status": ""}],
    }
    assert from_xml(b"<xml><hblist/></xml>") == {"hblist": []}


_BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))

UNTRUSTWORTHY: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"  \n ",
    "not XML": b"SUCCESS",
    "a page": b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "a page without doctype": b"<html><body>502</body></html>",
    "another root": b"<XML><a>1</a></XML>",
    "a root in a namespace": b'<xml xmlns="urn:x"><a>1</a></xml>',
    "cut off": b"<xml><return_code>SUCCESS</return_code>",
    "two roots": b"<xml/><xml/>",
    "something behind": b"<xml/>x",
    "an external entity": b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><a>&x;</a></xml>',
    "an external DTD": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml><a>1</a></xml>',
    "an empty doctype": b"<!DOCTYPE xml><xml><a>1</a></xml>",
    "a bomb": f'<!DOCTYPE xml [<!ENTITY e0 "lol">{_BOMB}]><xml><a>&e11;</a></xml>'.encode(),
    "an unknown entity": b"<xml><a>&nbsp;</a></xml>",
    "a field twice": b"<xml><status>SENT</status><status>FAILED</status></xml>",
    "a claim's field twice": b"<xml><hblist><hbinfo><a>1</a><a>2</a></hbinfo></hblist></xml>",
    "hblist twice": b"<xml><hblist/><hblist/></xml>",
    "a field in a field": b"<xml><status><x>SENT</x></status></xml>",
    "text around a field": b"<xml><a>1<b/>2</a></xml>",
    "a comment in a value": b"<xml><status>SE<!-- -->NT</status></xml>",
    "an instruction in a value": b"<xml><status>SE<?x ?>NT</status></xml>",
    "a comment between fields": b"<xml><!-- <a>2</a> --><a>1</a></xml>",
    "text between fields": b"<xml><a>1</a>2</xml>",
    "text before fields": b"<xml>0<a>1</a></xml>",
    "text in an hblist": b"<xml><hblist>oA</hblist></xml>",
    "something else in an hblist": b"<xml><hblist><claim/></hblist></xml>",
    "a list in a claim": b"<xml><hblist><hbinfo><hblist/><x><y/></x></hbinfo></hblist></xml>",
    "GBK undeclared": "<xml><a>余额不足</a></xml>".encode("gbk"),
    "GBK declared": '<?xml version="1.0" encoding="GBK"?><xml><a>余额不足</a></xml>'.encode("gbk"),
    "GBK declared, UTF-8 used": '<?xml version="1.0" encoding="GBK"?><xml><a>余额</a></xml>'.encode(),
    "GBK declared, ASCII used": b'<?xml version="1.0" encoding="GBK"?><xml><a>1</a></xml>',
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><xml><a>1</a></xml>'.encode("utf-16"),
    "UTF-16 without BOM": "<xml><a>1</a></xml>".encode("utf-16-le"),
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?><xml><a>+ADw-</a></xml>',
    "an unknown charset": b'<?xml version="1.0" encoding="klingon"?><xml><a>1</a></xml>',
    "overlong UTF-8": b"<xml><a>\xc0\xbc</a></xml>",
    "a NUL": b"<xml><a>1\x00</a></xml>",
    "a control character": b"<xml><a>1\x08</a></xml>",
    "a forbidden reference": b"<xml><a>&#0;</a></xml>",
    "very deep": b"<xml>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</xml>",
}


@pytest.mark.parametrize("body", UNTRUSTWORTHY.values(), ids=UNTRUSTWORTHY)
def test_nothing_doubtful_is_read(body: bytes) -> None:
    with pytest.raises(Malformed):
        from_xml(body)


def test_the_longest_body_is_still_read() -> None:
    body = b"<xml><a>1</a></xml>"
    assert from_xml(body.ljust(BODY_BYTES_MAX)) == {"a": "1"}
    with pytest.raises(Malformed, match="too long"):
        from_xml(body.ljust(BODY_BYTES_MAX + 1))


def test_a_refusal_quotes_nothing_of_the_body() -> None:
    """It may hold an openid, and it ends up in logs."""
    with pytest.raises(Malformed) as caught:
        from_xml(b"<xml><re_openid>oSecret</re_openid><re_openid>oSecret</re_openid></xml>")
    assert "oSecret" not in str(caught.value)


@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    try:
        from_xml(body)
    except Malformed:
        return


TAGS = ("<xml>", "</xml>", "<xml/>", "<a>", "</a>", "<hblist>", "</hblist>", "<hbinfo>", "</hbinfo>")
MARKS = (
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x",
    "?>",
    "&a;",
    "&#1;",
    "&amp;",
    "<!DOCTYPE",
    "<!ENTITY",
    "[",
    "]",
)
HEADS = ("\ufeff", '<?xml version="1.0" encoding="', 'gbk"?>', 'utf-8"?>')
pieces = st.sampled_from((*TAGS, *MARKS, *HEADS, ">", "1", "余", " ", "\x00"))


@given(parts=st.lists(pieces, max_size=20))
def test_any_heap_of_pieces_is_read_or_malformed(parts: list[str]) -> None:
    body = "".join(parts).encode()
    try:
        fields = from_xml(body)
    except Malformed:
        return
    # What was read, another parser reads as well, and finds no more.
    root = etree.fromstring(body.removeprefix(b"\xef\xbb\xbf"))
    assert [child.tag for child in root] == list(fields)


def test_what_was_not_xml_leaves_nothing_behind_for_the_next_answer() -> None:
    """One parser reads them all."""
    good = b"<xml><return_code><![CDATA[SUCCESS]]></return_code></xml>"
    for bad in (b"<xml><a>1</a>", b"", b"<xml>&x;</xml>", b"<a/><b/>", b"\xff"):
        with pytest.raises(Malformed):
            from_xml(bad)
        assert from_xml(good) == {"return_code": "SUCCESS"}


# ---------------------------------------------------------------- the short way, and the parser's


def by_the_parser(body: bytes) -> Fields | None:
    """What is read where nothing is plain; None where that is malformed."""
    with mock.patch.object(envelope, "_plain", return_value=None):
        return read(body)


def read(body: bytes) -> Fields | None:
    try:
        return from_xml(body)
    except Malformed:
        return None


#: What parsers change, refuse, or take for markup, beside what they leave alone.
hostile = st.text(
    st.sampled_from("a1祝 \t\n\r\f\v\x00\x08\x1f\x7f\x85\xa0\u2028\ufeff\ufffd\ufffe\uffff😀]>[<&;/!-")
    | st.characters(exclude_categories=["Cs"]),
    max_size=8,
)
#: What makes the difference at some place of a plain answer.
edits = st.sampled_from(
    (*TAGS, *MARKS, " ", "\r\n", "x", "</", "<a x='1'>", "<é>", "<a:b>", "<xmlns>", "</a >")
)


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """An answer of plain fields, in which up to two places were changed."""
    parts = ["<xml>"]
    for name in draw(st.lists(names | st.sampled_from(("a", "b1", "XML", "hblist")), max_size=4)):
        value = draw(sendable | cdata_ends | hostile)
        parts += draw(
            st.sampled_from(
                (
                    ("\n", f"<{name}>", value, f"</{name}>"),
                    (f"<{name}>", "<![CDATA[", value, "]]>", f"</{name}>"),
                )
            )
        )
    parts.append("</xml>")
    for edit in draw(st.lists(edits | hostile, max_size=2)):
        place = draw(st.integers(0, len(parts)))
        parts[place : place + draw(st.integers(0, 1))] = [edit]
    return "".join(parts).encode()


@settings(max_examples=1000)
@given(body=nearly_plain())
def test_the_short_way_reads_what_the_parser_reads(body: bytes) -> None:
    """Most answers never reach the parser; no answer may say anything else for that."""
    assert read(body) == by_the_parser(body)


@given(parts=st.lists(pieces | hostile, max_size=20))
def test_the_short_way_reads_no_heap_of_pieces_in_another_way(parts: list[str]) -> None:
    body = "".join(parts).encode()
    assert read(body) == by_the_parser(body)


@pytest.mark.parametrize(
    "value", [chr(code) for code in (*range(0x20), 0x7F, 0x85, 0xA0, 0xFEFF, 0xFFFE, 0xFFFF)]
)
@pytest.mark.parametrize(
    "body", ["<xml><a>{}</a></xml>", "<xml><a><![CDATA[{}]]></a></xml>", "<xml>{}<a>1</a></xml>"]
)
def test_the_short_way_reads_every_odd_character_as_the_parser_does(body: str, value: str) -> None:
    written = body.format(value).encode()
    assert read(written) == by_the_parser(written)


@pytest.mark.parametrize("body", [*UNTRUSTWORTHY.values(), PRINTED.encode()])
def test_the_short_way_reads_nothing_doubtful(body: bytes) -> None:
    assert read(body) == by_the_parser(body)


def test_an_answer_as_documented_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    body = accepted(
        {"mch_billno": "1", "mch_id": "2", "wxappid": "wx", "re_openid": "o", "total_amount": "188"}, 1
    )
    expected = from_xml(body)
    monkeypatch.setattr(envelope, "_parse", None)
    assert from_xml(body) == expected
    assert from_xml(PRINTED.encode())["remark"] == "A&B <test>"
