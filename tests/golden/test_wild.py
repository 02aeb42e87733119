"""What the reader makes of every file in ``sample_campaigns/wild``, word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from campaign.domain.money import yuan_text
from campaign.errors import SheetRejected
from campaign.sheet import Reading, read_sheet
from tests.corpus.wild import CORPUS, WILD, Wild, write_corpus
from tests.sheet.sheets import DEFAULTS, options

GOLDEN = Path(__file__).parent / "wild"


def described(sample: Wild) -> dict[str, Any]:
    try:
        reading = read_sheet(WILD / sample.name, options(**sample.options))
    except SheetRejected as refused:
        outcome: dict[str, Any] = {"rejected": str(refused), "advice": str(refused.advice)}
    else:
        outcome = described_reading(reading)
    return {"story": sample.story, "options": sample.options} | outcome


def described_reading(reading: Reading) -> dict[str, Any]:
    ordinary = (DEFAULTS.wishing, DEFAULTS.send_name, DEFAULTS.act_name, DEFAULTS.remark, "", "")
    orders = []
    for order in reading.orders:
        texts = (
            order.wishing,
            order.send_name,
            order.act_name,
            order.remark,
            order.scene_id,
            order.risk_info,
        )
        own = " ".join(f"{header}={value}" for header, value in order.own.items())
        key = "" if order.row_key == order.re_openid else f" key {order.row_key}"
        tie = f" tie {order.tie.campaign}/{order.tie.row_key}/{order.tie.issue}" if order.tie else ""
        changed = [text for text, usual in zip(texts, ordinary, strict=True) if text != usual]
        orders.append(
            f"row {order.source.row}: {order.re_openid} ¥{yuan_text(order.total_amount)}"
            f"{key}{tie} | {' / '.join(changed)} | {own}"
        )
    return {
        "sheet": reading.sheet,
        "rows": reading.rows,
        "key_column": reading.key_column,
        "own_headers": list(reading.own_headers),
        "orders": orders,
        "problems": [
            f"row {p.source.row} {p.cell} {p.column} {p.value!r}: {p.problem}. {p.advice}"
            for p in reading.problems
        ],
        "notes": [str(note) for note in reading.notes],
    }


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_wild_sheet(sample: Wild, rewrite_golden: bool) -> None:
    expected = GOLDEN / f"{sample.name}.json"
    written = json.dumps(described(sample), ensure_ascii=False, indent=1) + "\n"
    if rewrite_golden:
        expected.write_text(written, encoding="utf-8")
    assert written == expected.read_text(encoding="utf-8")


def test_the_corpus_is_what_its_script_makes(tmp_path: Path) -> None:
    """But for the files that LibreOffice makes, which differ by its version."""
    write_corpus(tmp_path, with_libreoffice=False)
    for sample in CORPUS:
        if not sample.needs_libreoffice:
            assert (tmp_path / sample.name).read_bytes() == (WILD / sample.name).read_bytes(), sample.name
    assert (tmp_path / "README.md").read_text() == (WILD / "README.md").read_text()


def test_nothing_is_left_over() -> None:
    names = {sample.name for sample in CORPUS}
    assert len(names) == len(CORPUS) >= 40
    assert {path.name for path in WILD.iterdir()} == names | {"README.md"}
    assert {path.name.removesuffix(".json") for path in GOLDEN.iterdir()} == names
