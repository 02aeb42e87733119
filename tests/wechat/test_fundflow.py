"""The funds bill's file: every lawful form of it is read, and nothing that is not whole is believed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import re
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from campaign.domain.bill import Bill, BillLine
from campaign.domain.days import moment_s
from campaign.errors import BillRejected
from campaign.rehearsal.bills import written
from campaign.wechat import fundflow
from campaign.wechat.fundflow import COLUMNS, parse_bill

#: R10.4, as printed there; its summary is that of the 20 lines of which it shows one.
SAMPLE = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,"
    "资金变更提交申请人,备注,业务凭证号\n"
    "`2018-02-01 04:21:23,`50000305742018020103387128253,`1900009231201802015884652186,`退款,`退款,`支出,"
    "`0.02,`0.17,`system,`缺货,`REF4200000068201801293084726067\n"
    "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\n"
    "`20.0,`17.0,`0.35,`3.0,`0.18\n"
)
WHOLE = SAMPLE.replace("`20.0,`17.0,`0.35,`3.0,`0.18", "`1.0,`0.0,`0.00,`1.0,`0.02")
ROW = WHOLE.split("\n")[1]


def read(content: str | bytes, **how: object) -> Bill:
    return parse_bill(content.encode() if isinstance(content, str) else content, file="b.csv", **how)


def refusal(content: str | bytes, **how: object) -> str:
    with pytest.raises(BillRejected) as caught:
        read(content, **how)
    assert caught.value.exit_code == 3
    assert caught.value.advice is not None
    assert "b.csv" in str(caught.value)
    return str(caught.value)


def test_the_documentations_sample_is_read_field_by_field():
    """Ids stay text, amounts become fen, exactly one backtick goes."""
    bill = read(WHOLE)
    [line] = bill.lines
    assert line == BillLine(
        billed_at_s=moment_s("2018-02-01 04:21:23"),
        business_no="50000305742018020103387128253",
        flow_id="1900009231201802015884652186",
        business_name="退款",
        business_type="退款",
        incoming=False,
        fen=2,
        balance_fen=17,
        applicant="system",
        note="缺货",
        voucher_no="REF4200000068201801293084726067",
    )
    assert (line.file, line.line, line.change_fen) == ("b.csv", 2, -2)
    assert bill.flaw is None
    assert bill.days == {date(2018, 2, 1)}
    assert bill.sha1 == hashlib.sha1(WHOLE.encode()).hexdigest()


def test_a_summary_that_its_lines_contradict_is_a_flaw_that_names_both():
    """The bill is read all the same: the match shows which row is concerned."""
    flaw = read(SAMPLE).flaw
    assert flaw is not None
    for fact in ("17", "0.35", "3", "0.18", "0.02"):
        assert fact in str(flaw)


@pytest.mark.parametrize(
    "form",
    [
        lambda whole: whole.encode(),
        lambda whole: codecs.BOM_UTF8 + whole.encode(),
        lambda whole: whole.encode("gbk"),
        lambda whole: whole.encode("gb18030"),
        lambda whole: whole.replace("\n", "\r\n").encode(),
        lambda whole: whole.rstrip("\n").encode(),
        lambda whole: (whole + "\n\r\n").encode(),
        lambda whole: gzip.compress(whole.encode()),
        lambda whole: gzip.compress(whole.encode("gbk")),
        lambda whole: whole.replace("（元）", "(元)").encode(),
        lambda whole: whole.replace("（元）", "").encode(),
        lambda whole: whole.replace("收入金额", "收入金额（元）").encode(),
        lambda whole: whole.replace("业务名称", " 业务名称 ").encode(),
        lambda whole: whole.replace("`1.0,", "1,").encode(),
        # renamed since: then the place counts
        lambda whole: whole.replace("资金变更提交申请人", "申请人").encode(),
        # a spreadsheet filled the short lines up, and put quotes around a field
        lambda whole: (
            whole.replace("支出金额\n", "支出金额,,,,,,\n").replace("`0.02\n", "`0.02,,,,,,\n").encode()
        ),
        lambda whole: whole.replace("`缺货", '"`缺货"').encode(),
        # around every field
        lambda whole: re.sub(r"[^,\n]+|(?<=,)(?=[,\n])", r'"\g<0>"', whole).encode(),
        lambda whole: whole.replace("`", "").encode(),
    ],
)
def test_every_lawful_form_says_the_same(form):
    assert read(form(WHOLE)).lines == read(WHOLE).lines
    assert read(form(WHOLE)).flaw is None


def test_columns_are_found_by_name_wherever_they_stand():
    """In another order, and with one that nobody knew."""
    header, row, *rest = WHOLE.split("\n")
    names, fields = header.split(","), row.split(",")
    turned = [",".join([*reversed(names), "新列"]), ",".join([*reversed(fields), "`x"]), *rest]
    assert read("\n".join(turned)).lines == read(WHOLE).lines


@pytest.mark.parametrize(
    "written_note, note",
    [
        ("缺货,无法发出", "缺货,无法发出"),
        ('he said "no", twice', 'he said "no", twice'),
        ("two\\r\\nlines\\nor three", "two\nlines\nor three"),
        ("a\\1b", "a b"),
        ("a\x01b", "a b"),
        ("a\x0bb\x85c\u2028d", "a\x0bb\x85c\u2028d"),
        ("`quoted`", "`quoted`"),
        ("", ""),
    ],
)
def test_a_remark_is_read_as_it_was_written(written_note, note):
    """Commas, quotes, escaped and odd line breaks; exactly one backtick is the format's."""
    [line] = read(WHOLE.replace("`缺货", f"`{written_note}")).lines
    assert line.note == note


@pytest.mark.parametrize(
    "old, new, words",
    [
        (WHOLE, "", ["empty"]),
        (WHOLE, "交易时间,公众账号ID,商户号\n`1,`2,`3\n", ["no column 记账时间"]),
        (WHOLE, "<xml><return_code>FAIL</return_code></xml>", ["instead of a bill"]),
        ("业务凭证号", "业务名称", ["no column 业务名称"]),
        ("`支出", "`转出", ["line 2", "转出"]),
        ("`0.02,`0.17", "`0.025,`0.17", ["line 2", "0.025"]),
        ("`0.02,`0.17", "`-0.02,`0.17", ["line 2", "-0.02"]),
        ("`0.02,`0.17", "`1e3,`0.17", ["line 2", "1e3"]),
        ("`0.02,`0.17", "`٣,`0.17", ["line 2"]),
        ("2018-02-01 04:21:23", "2018-02-30 04:21:23", ["line 2", "2018-02-30"]),
        ("2018-02-01 04:21:23", "2018/2/1 4:21", ["line 2", "2018/2/1"]),
        ("2018-02-01 04:21:23", "0001-01-01 00:00:00", ["line 2"]),
        ("`1900009231201802015884652186", "1.90001E+27", ["line 2", "rounded", "1.90001E+27"]),
        ("`REF4200000068201801293084726067", "`" + "9" * 129, ["line 2", "128"]),
        ("`system,", "", ["line 2", "number of fields"]),
        ("`system,", "`system,`x,", ["line 2", "number of fields"]),
        ("`缺货", "`缺,`货", ["line 2", "number of fields"]),
        (WHOLE[WHOLE.index("资金流水总笔数") :], "", ["cut off"]),
        (WHOLE[WHOLE.index("`1.0") :], "", ["cut off"]),
        ("`1.0,`0.0,`0.00,`1.0,`0.02", "`1.0,`0.0,`0.00,`1.0", ["line 4"]),
        ("`1.0,`0.0", "`1.5,`0.0", ["line 4"]),
        ("`1.0,`0.0", "`one,`0.0", ["line 4"]),
        ("收入笔数", "收入", ["line 4"]),
        ("`1.0,`0.02\n", "`1.0,`0.02\n" + ROW, ["line 5", "follows"]),
    ],
)
def test_what_is_not_a_whole_bill_is_refused_with_its_line(old, new, words):
    assert old in WHOLE
    message = refusal(WHOLE.replace(old, new, 1))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "content, word",
    [
        (b"PK\x03\x04rest", "ZIP"),
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (WHOLE.encode("utf-16"), "UTF-16"),
        (b"\xff\x80\xff\x80", "neither in UTF-8 nor in GBK"),
        (gzip.compress(WHOLE.encode(), mtime=0)[:-9], "cut off"),
        (gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 20, "damaged"),
        (gzip.compress(WHOLE.encode(), mtime=0) + b"more", "follows"),
    ],
)
def test_what_is_no_text_says_what_it_is(content, word):
    assert word in refusal(content)


def test_a_bomb_is_not_inflated(monkeypatch):
    """Neither compressed nor plain."""
    monkeypatch.setattr(fundflow, "BILL_BYTES_MAX", 10_000)
    assert "too long" in refusal(gzip.compress(b"x" * 50_000_000))
    assert "too long" in refusal(b"x" * 10_001)


def test_the_digest_is_that_of_the_uncompressed_bill_or_of_what_came():
    """R10.3 says uncompressed; the v2 header does not say."""
    plain = WHOLE.encode()
    packed = gzip.compress(plain)
    assert read(packed, sha1=hashlib.sha1(plain).hexdigest().upper()).lines
    assert read(packed, sha1=hashlib.sha1(packed).hexdigest()).lines
    assert "digest" in refusal(packed, sha1="0" * 40)


def test_an_empty_day_is_a_bill_without_lines():
    header, _, names, _, _ = WHOLE.split("\n")
    bill = read(f"{header}\n{names}\n`0.0,`0.0,`0.00,`0.0,`0.00", days=[date(2018, 2, 1)])
    assert (bill.lines, bill.flaw, bill.days) == ((), None, {date(2018, 2, 1)})


#: Ids and names as a bill may have them.
words = st.text(
    st.characters(codec="gb18030", exclude_characters='`,"\\\r\n\x01', exclude_categories=("Cs", "Z", "Cc"))
)
notes = st.text(st.sampled_from("a货,\"\n :;'x")).map(str.strip)
bill_lines = st.builds(
    BillLine,
    billed_at_s=st.integers(int(moment_s("2017-06-01 00:00:00")), int(moment_s("2099-12-31 23:59:59"))).map(
        float
    ),
    business_no=st.from_regex(r"[0-9]{0,31}", fullmatch=True),
    flow_id=st.from_regex(r"[0-9]{1,32}", fullmatch=True),
    business_name=words,
    business_type=words,
    incoming=st.booleans(),
    fen=st.integers(0, 10**12),
    balance_fen=st.integers(-(10**12), 10**12),
    applicant=words,
    note=notes,
    voucher_no=st.from_regex(r"[0-9A-Z]{0,28}", fullmatch=True),
)


@given(st.lists(bill_lines, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]), st.booleans())
def test_what_was_written_is_read_back(lines, encoding, packed):
    """Whatever names, remarks and amounts; and its own summary holds."""
    content = written(lines).decode().encode(encoding)
    bill = read(gzip.compress(content) if packed else content)
    assert list(bill.lines) == lines
    assert bill.flaw is None


@given(st.binary(max_size=300))
@example(b"\x1f\x8b")
@example(codecs.BOM_UTF8)
def test_any_bytes_are_a_bill_or_are_refused(content):
    """Nothing else can come of a file."""
    with suppress(BillRejected):
        assert read(content).flaw is None


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_to_a_bill_is_read_or_refused(data):
    """Bytes cut out, put in, or altered anywhere; days of what is read can be told."""
    content = bytearray(WHOLE.replace("\n", "\r\n").encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        until = data.draw(st.integers(at, min(len(content), at + 20)))
        content[at:until] = data.draw(
            st.sampled_from([b"", b",", b"`", b'"', b"\n", b"\r", b"0", b"\\", b"9999"])
        )
    try:
        bill = read(bytes(content))
    except BillRejected:
        return
    assert all(line.fen >= 0 for line in bill.lines)
    assert len(bill.days) < 40_000


@given(st.data())
def test_no_cut_off_bill_is_taken_for_a_whole_one(data):
    """Wherever the end is missing, the bill is refused, or is the same but for its last line's digits."""
    content = WHOLE.encode()
    cut = content[: data.draw(st.integers(0, len(content) - 2))]
    try:
        bill = read(cut)
    except BillRejected:
        return
    assert bill.flaw is not None or cut + b"2" == content.rstrip() or cut.rstrip() == content.rstrip()


def test_the_columns_are_the_documentations():
    header = SAMPLE.split("\n")[0].replace("（元）", "")
    assert tuple(header.split(",")) == COLUMNS
