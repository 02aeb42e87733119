"""What finance and the department take away: the workbook of a million rows, the annotated sheet."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.big import BigCampaign, big_campaign
from tests.bench.figures import Figure, Target
from tests.bench.ground import Ended, Ground
from tests.bench.parts.sheets import BIG, MIDDLE, SMALL

_FASTEST = 1.5
_MB = Target(150, 300, "MB", lower=True)
_LINEAR = Target(1.1, 1.3, "×", lower=True)
#: XlsxWriter takes minutes for a million, and the same time for each row.
_PART = 10
_ONCE = "one run only, since it is long"


def measure(ground: Ground) -> Iterator[Figure]:
    """The workbook beside two writers with the same cells, and annotating as the sheet grows."""
    small, big = big_campaign(ground, SMALL), big_campaign(ground, BIG)
    for campaign in (small, big):
        campaign.accept(campaign.rows)
    yield from _workbook(ground, big, model=small)
    annotated = {rows: _annotated(big_campaign(ground, rows)) for rows in (SMALL, MIDDLE)}
    small, middle = annotated[SMALL], annotated[MIDDLE]
    yield Figure(
        "check --annotate, CPU a row: 100 k : 10 k",
        f"{middle.cpu_s:.1f} s, peak {middle.peak_mb:,.0f} MB",
        f"{small.cpu_s:.1f} s, peak {small.peak_mb:,.0f} MB",
        middle.cpu_s / MIDDLE / (small.cpu_s / SMALL),
        _LINEAR,
        f"growth is linear at 1 ×; {_ONCE}",
    )


def _workbook(ground: Ground, big: BigCampaign, *, model: BigCampaign) -> Iterator[Figure]:
    """``model``: its workbook, which is small and so read at little cost, gives the others their cells."""
    out = ground.folder / "report"
    out.mkdir()
    ours, _ = _ours(ground, big)
    _, cells = _ours(ground, model)
    rust = _written(ground, "rust", cells, str(out / "rust.xlsx"), str(BIG))
    part = _written(ground, "xlsxwriter", cells, str(out / "part.xlsx"), str(BIG // _PART))
    constant_memory_s = part.cpu_s * _PART
    ground.say(
        f"workbook: ours {ours.cpu_s:.1f} s, rust {rust.cpu_s:.1f} s, xlsxwriter {constant_memory_s:.1f} s"
    )
    # The least is to be no slower than XlsxWriter, here as a multiple of the fastest.
    least = max(_FASTEST, constant_memory_s / rust.cpu_s)
    yield Figure(
        "1 M rows: finance workbook, CPU : fastest writer",
        f"{ours.cpu_s:.1f} s",
        f"{rust.cpu_s:.1f} s by rustpy-xlsxwriter; {constant_memory_s:.1f} s by XlsxWriter",
        ours.cpu_s / rust.cpu_s,
        Target(_FASTEST, least, "×", lower=True),
        "the details' cells again, without our reading, styles and sums; the least is XlsxWriter in "
        f"constant memory ({BIG // _PART:,} rows, times {_PART}); {_ONCE}",
    )
    yield Figure(
        "1 M rows: finance workbook, peak memory",
        f"{ours.peak_mb:,.0f} MB",
        f"{rust.peak_mb:,.0f} MB by rustpy-xlsxwriter; {part.peak_mb:,.0f} MB by XlsxWriter",
        ours.peak_mb,
        _MB,
        _ONCE,
    )


def _ours(ground: Ground, campaign: BigCampaign) -> tuple[Ended, str]:
    """The program's own workbook, and where it is."""
    out = ground.folder / "report" / campaign.name
    config = str(campaign.desk.folder / "campaign.toml")
    ended = _written(ground, "ours", config, campaign.name, str(out))
    [written] = out.glob("*.xlsx")
    return ended, str(written)


def _written(ground: Ground, *arguments: str) -> Ended:
    return ground.run(["-m", "tests.bench.writers", *arguments])


def _annotated(campaign: BigCampaign) -> Ended:
    out = campaign.desk.folder / "annotated.xlsx"
    return campaign.run("check", str(campaign.sheet), "--annotate", str(out))
