"""Original and fix sheet: corrected in one or both, run in any order, ledger or not, a row is one packet."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import openpyxl
import pytest

from campaign.domain.campaign import Campaign
from campaign.domain.plan import ORDINAL_KEYS
from campaign.errors import CampaignError, KeyChanged, SheetRejected
from campaign.report.lines import Facts
from campaign.sheet import Reading, ReadOptions, read_sheet
from campaign.sheet.fix import certain_ties
from campaign.stages.annotate import Annotated, Annotating, annotate_check, annotate_report
from campaign.text import Text, text
from tests.sheet.sheets import openid, options, xlsx_file
from tests.simulation.machine import GATEWAY, Machine

A, B, C, D = (openid(number) for number in range(1, 5))
Rows = list[list[Any]]

#: What the columns are, and the sheets with a mistake that only row 3 has: its amount is below ¥1.00.
KEYS: dict[str, tuple[list[str], Rows]] = {
    "re_openid": (["openid", "金额", "姓名"], [[A, 1.11, "甲"], [B, 0.5, "乙"], [C, 3.33, "丙"]]),
    "id": (["openid", "金额", "编号"], [[A, 1.11, "1"], [B, 0.5, "2"], [C, 3.33, "3"]]),
    ORDINAL_KEYS: (["openid", "金额", "姓名"], [[A, 1.11, "甲"], [A, 0.5, "甲"], [C, 3.33, "丙"]]),
}


class Office:
    """An operator's folder with a sheet and its fix sheet, and the machine that runs them."""

    def __init__(self, folder: Path, keys: str, header: list[str], rows: Rows) -> None:
        self.folder, self.keys, self.header, self.rows = folder, keys, header, rows
        self.machine = Machine(Random(3))
        self.columns: dict[str, str] = {}
        self.original, self.fix, self.copy = (
            folder / name for name in ("lantern.xlsx", "marked-fix.xlsx", "marked.xlsx")
        )
        self.save()

    @property
    def options(self) -> ReadOptions:
        return options(allow_repeats=self.keys == ORDINAL_KEYS, columns=self.columns)

    def save(self) -> None:
        """Write the original as its rows are now."""
        xlsx_file(self.folder, self.header, *self.rows, name=self.original.name)

    def correct(self, path: Path, row: int, column: int, value: Any) -> None:
        """Change one cell of a workbook, as a person would; rows and columns from 1."""
        book = openpyxl.load_workbook(path)
        book.worksheets[0].cell(row, column).value = value
        book.save(path)

    def read(self, path: Path) -> Reading:
        return read_sheet(path, self.options)

    def job(self) -> Annotating:
        return Annotating(
            sheet=self.original,
            options=self.options,
            campaign="lantern",
            out=self.copy,
            fix=self.fix,
            say=str,
        )

    def check(self) -> Annotated:
        return annotate_check(self.job(), self.read(self.original))

    def report(self) -> Annotated:
        with self.machine.look() as ledger:
            campaign = ledger.campaign("lantern")
            assert isinstance(campaign, Campaign)
            facts = Facts(
                campaign=campaign,
                merchant="1900000109",
                gateway=GATEWAY,
                made_at_s=self.machine.clock.now_s(),
            )
            return annotate_report(self.job(), ledger, self.read(self.original), facts=facts)

    def run(self, path: Path) -> str:
        """``campaign run``; why it was refused, or ""."""
        try:
            reading = self.read(path)
            if reading.problems:
                raise SheetRejected(reading.problems[0].problem)
            tied = any(order.tie for order in reading.orders)
            self.machine.run(reading.orders, keys=reading.key_column, partial=tied)
        except CampaignError as refused:
            return f"{type(refused).__name__}: {refused}"
        return ""

    def lose(self, what: str) -> None:
        """The ledger, and with "everything" what else this machine remembered."""
        if what != "nothing":
            self.machine.disk.lose()
        if what == "everything":
            self.machine.forget()

    def paid(self) -> Counter[str]:
        """Packets paid, by openid."""
        return Counter(order.re_openid for order in self.machine.paid().values())


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def make(keys: str, rows: Rows | None = None, header: list[str] | None = None) -> Office:
        usual_header, usual_rows = KEYS[keys]
        folder = tmp_path / f"office{len(made)}"
        folder.mkdir()
        rows = rows or [list(row) for row in usual_rows]
        made.append(Office(folder, keys, header or usual_header, rows))
        return made[-1]

    yield make
    for each in made:
        each.machine.close()


# What is in it


@pytest.mark.parametrize("keys", KEYS)
def test_it_has_the_rows_to_be_fixed_and_nothing_else(office: Callable[..., Office], keys: str) -> None:
    """With the reserved columns, the operator's own columns, and the mistake as it stands."""
    there = office(keys)
    assert there.check().files == (there.copy, there.fix)
    reading = there.read(there.fix)
    assert [(p.source.row, p.column) for p in reading.problems] == [(2, "total_amount")]
    assert (reading.rows, reading.key_column) == (1, keys)
    there.correct(there.fix, 2, 2, 2.22)
    [fixed] = there.read(there.fix).orders
    assert fixed.tie == certain_ties(there.read(there.original), "lantern")[3]
    assert (fixed.total_amount, fixed.own) == (222, {} if keys == "id" else {"姓名": there.rows[1][2]})


@pytest.mark.parametrize(
    "keys, row",
    [
        ("re_openid", ["", 1]),
        ("re_openid", [f"{B}。", 1]),
        ("re_openid", [A, 1]),  # the same person again: which openid is meant?
        (ORDINAL_KEYS, [f"{B}。", 1]),
        ("id", [B, 1, ""]),
        ("id", [B, 1, "1"]),
    ],
)
def test_a_row_whose_number_comes_from_the_mistake_is_corrected_in_the_original(
    office: Callable[..., Office], keys: str, row: list[Any]
) -> None:
    """No column could tie the two together: the number is only known once the cell is right."""
    there = office(keys, rows=[[A, 1.11, "1"], [*row, "乙"][:3]])
    annotated = there.check()
    assert annotated.files == (there.copy,)
    assert "To be corrected in lantern.xlsx itself" in "\n".join(map(str, annotated.notes))


def test_an_openid_that_is_wrong_may_move_every_ordinal_of_the_sheet(office: Callable[..., Office]) -> None:
    """Row 3, put right, is perhaps one more row of A, and then row 4 is A's third and not the second."""
    there = office(ORDINAL_KEYS, rows=[[A, 1.11, "甲"], [f"{A}。", 2, "甲"], [A, 0.5, "甲"]])
    assert there.check().files == (there.copy,)


def test_what_is_wrong_but_not_in_a_value_does_not_get_mended_on_the_way(
    office: Callable[..., Office],
) -> None:
    """A struck-through row copied as plain values would be paid although nobody has decided that."""
    there = office("re_openid")
    book = openpyxl.load_workbook(there.original)
    book.worksheets[0]["B2"].font = openpyxl.styles.Font(strike=True)
    book.save(there.original)
    there.check()
    assert [order.re_openid for order in there.read(there.fix).orders] == []
    assert {p.source.row for p in there.read(there.fix).problems} == {2}


def test_amounts_in_fen_stay_in_fen(office: Callable[..., Office]) -> None:
    """Also where the settings know a header for yuan, which this sheet does not have."""
    there = office("re_openid", header=["openid", "金额(分)", "姓名"], rows=[[A, 111, "甲"], [B, 50, "乙"]])
    there.columns = {"奖金": "amount_yuan"}
    there.check()
    there.correct(there.fix, 2, 2, 222)
    assert [order.total_amount for order in there.read(there.fix).orders] == [222]


def test_a_template_still_finds_its_columns(office: Callable[..., Office]) -> None:
    header = ["openid", "红包金额", "姓名", "祝福语"]
    there = office("re_openid", header=header, rows=[[A, 0.5, "甲", "{姓名}的{红包金额}元"]])
    there.check()
    there.correct(there.fix, 2, 2, 2)
    [order] = there.read(there.fix).orders
    assert order.wishing == "甲的2元"


def test_a_formula_in_a_text_stays_a_text(office: Callable[..., Office]) -> None:
    there = office("re_openid", rows=[[A, 0.5, "'=1+1"]])
    there.correct(there.original, 2, 3, "=HYPERLINK(1)")
    book = openpyxl.load_workbook(there.original)
    book.worksheets[0]["C2"].data_type = "s"
    book.save(there.original)
    there.check()
    assert openpyxl.load_workbook(there.fix).worksheets[0]["I2"].data_type == "s"


# Never twice


#: After each step is looked at what was paid, so these begin with every shorter order, too.
ORDERS = [("original", "fix", "original"), ("fix", "original", "fix")]
CORRECTIONS = [("same", 2.22, 2.22), ("different", 2.22, 4.44), ("original", 2.22, None), ("fix", None, 2.22)]


@pytest.mark.parametrize("lost", ["nothing", "ledger", "everything"])
@pytest.mark.parametrize("where, in_original, in_fix", CORRECTIONS, ids=[c[0] for c in CORRECTIONS])
@pytest.mark.parametrize("keys", KEYS)
def test_no_order_of_running_them_pays_a_row_twice(
    office: Callable[..., Office],
    keys: str,
    where: str,
    in_original: float | None,
    in_fix: float | None,
    lost: str,
) -> None:
    for order in ORDERS:
        there = office(keys)
        there.check()
        if in_fix:
            there.correct(there.fix, 2, 2, in_fix)
        if in_original:
            there.rows[1][1] = in_original
            there.save()
        rows = Counter(row[0] for row in there.rows)
        refused = []
        for step in order:
            refused.append(there.run(getattr(there, step)))
            assert there.paid() <= rows, (order, refused)
            there.lose(lost)
        if where == "same" and "original" in order:
            assert (there.paid(), refused) == (rows, [""] * 3)
        if where == "fix" and "fix" in order:
            assert there.paid()[there.rows[1][0]] == 1
            assert all(
                "SheetRejected" in r for r, step in zip(refused, order, strict=True) if step == "original"
            )


@pytest.mark.parametrize("lost", ["nothing", "ledger", "everything"])
@pytest.mark.parametrize("person", [C, D])
def test_with_ids_the_openid_may_be_corrected_in_both_and_differently(
    office: Callable[..., Office], person: str, lost: str
) -> None:
    """The number comes from the id, so WeChat Pay pays one of them at most."""
    for order in ORDERS:
        there = office("id", rows=[[A, 1.11, "1"], [f"{B}。", 2.22, "2"]])
        there.check()
        there.correct(there.fix, 2, 1, C)
        there.correct(there.original, 3, 1, person)
        for step in order:
            there.run(getattr(there, step))
            assert there.paid()[C] + (there.paid()[D]) <= 1, order
            there.lose(lost)


@pytest.mark.parametrize("keys", ["re_openid", ORDINAL_KEYS])
def test_without_ids_another_openid_in_the_fix_sheet_is_refused(
    office: Callable[..., Office], keys: str
) -> None:
    """Corrected in both, the two sheets would name two numbers, and without the ledger both would be paid."""
    there = office(keys)
    there.check()
    there.correct(there.fix, 2, 2, 2.22)
    there.correct(there.fix, 2, 1, D)
    assert "SheetRejected" in there.run(there.fix)
    assert there.paid() == {}


def test_the_fix_sheet_first_leaves_the_original_its_key_column(office: Callable[..., Office]) -> None:
    """The first run of a campaign may be that of a fix sheet; it tells what the original's keys are."""
    there = office("id")
    there.check()
    there.correct(there.fix, 2, 2, 2.22)
    assert there.run(there.fix) == ""
    with there.machine.look() as ledger:
        campaign = ledger.campaign("lantern")
        assert campaign is not None
        assert campaign.key_column == "id"
    with pytest.raises(KeyChanged):
        there.machine.run(there.read(there.original).orders, keys="re_openid")


# After a run


def refused_row(there: Office) -> None:
    """Row 3 is refused by WeChat Pay before an order is stored."""
    there.rows[1][1] = 2.22
    there.save()
    there.machine.faults(openid_error={"openids": [there.rows[1][0]]})
    assert there.run(there.original) == ""
    there.machine.faults()


@pytest.mark.parametrize("lost", ["nothing", "ledger", "everything"])
def test_after_a_run_the_refused_rows_are_in_the_fix_sheet_and_paid_once(
    office: Callable[..., Office], lost: str
) -> None:
    """Run, mark, correct, run the fix sheet, run the original again: not one packet more."""
    for where, order in itertools.product(["fix", "both"], ORDERS):
        there = office("id")
        refused_row(there)
        assert there.report().files == (there.copy, there.fix)
        there.correct(there.fix, 2, 1, D)
        if where == "both":
            there.correct(there.original, 3, 1, D)
        for step in order:
            there.run(getattr(there, step))
            paid = there.paid()
            assert paid[A] == paid[C] == 1, (where, order)
            assert paid[D] + paid[B] <= 1, (where, order)
            there.lose(lost)
        if lost == "nothing" and ("fix" in order or where == "both"):
            assert there.paid()[D] == 1


def test_after_a_run_a_refused_openid_without_ids_is_corrected_in_the_original(
    office: Callable[..., Office],
) -> None:
    there = office("re_openid")
    refused_row(there)
    annotated = there.report()
    assert annotated.files == (there.copy,)
    assert "To be corrected in lantern.xlsx itself: row 3" in "\n".join(map(str, annotated.notes))
    there.correct(there.original, 3, 1, D)
    assert there.run(there.original) == ""
    assert there.paid() == {A: 1, C: 1, D: 1}


@pytest.mark.parametrize("lost", ["nothing", "ledger", "everything"])
@pytest.mark.parametrize("keys", KEYS)
def test_the_annotated_copy_may_be_run_in_place_of_the_original(
    office: Callable[..., Office], keys: str, lost: str
) -> None:
    """Its headers name the campaign, so its rows keep their numbers, whatever the copy is called."""
    there = office(keys)
    there.check()
    for path in (there.copy, there.original):
        there.correct(path, 3, 2, 2.22)
    reading = there.read(there.copy)
    assert (reading.campaigns, reading.problems) == ({"lantern"}, ())
    assert reading.own_headers == there.read(there.original).own_headers
    for path in (there.copy, there.original, there.copy):
        assert there.run(path) == ""
        assert there.paid() == Counter(row[0] for row in there.rows)
        there.lose(lost)


def test_sentences_are_said_in_the_readers_language(office: Callable[..., Office]) -> None:
    """Every word that is written goes through ``say``."""
    said: list[Text] = []

    def say(sentence: Text) -> str:
        said.append(sentence)
        return "话"

    there = office("re_openid")
    job = there.job()
    annotate_check(
        Annotating(**{f: getattr(job, f) for f in job.__slots__} | {"say": say}), there.read(there.original)
    )
    sheet = openpyxl.load_workbook(there.copy).worksheets[0]
    assert {cell.value for cell in sheet[1][3:8]} == {"campaign · 话"}
    assert text("can be paid") in said
