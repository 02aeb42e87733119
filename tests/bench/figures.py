"""What a measurement says: one row of the table, and whether it is good enough."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Verdict(StrEnum):
    """How a figure compares with its target."""

    GOAL = "goal"
    LEAST = "least"
    MISSED = "missed"


@dataclass(frozen=True)
class Target:
    """What is aimed at, and the least that is acceptable; ``unit`` is that of the judged value."""

    goal: float
    least: float
    unit: str = "×"
    #: Whether less is better, as with seconds.
    lower: bool = False

    def __post_init__(self) -> None:
        if (self.least < self.goal) if self.lower else (self.least > self.goal):
            raise ValueError("the least acceptable is better than the goal")

    def verdict(self, value: float | None) -> Verdict:
        """What was not measured has missed."""
        if value is None or math.isnan(value):
            return Verdict.MISSED
        for bound, verdict in ((self.goal, Verdict.GOAL), (self.least, Verdict.LEAST)):
            if (value <= bound) if self.lower else (value >= bound):
                return verdict
        return Verdict.MISSED

    def shown(self, bound: float) -> str:
        return f"{'≤' if self.lower else '≥'} {quantity(bound, self.unit)}"


@dataclass(frozen=True)
class Figure:
    """One row."""

    name: str
    #: What we did and what a peer did, or the limit, in words with numbers.
    ours: str
    against: str
    #: What the target judges, in its unit; None where it could not be measured.
    value: float | None
    target: Target
    #: How it was measured where that is not obvious, and what one should know of it.
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        return self.target.verdict(self.value)

    def as_json(self) -> dict[str, Any]:
        return {
            "figure": self.name,
            "ours": self.ours,
            "against": self.against,
            "value": self.value,
            "unit": self.target.unit,
            "goal": self.target.goal,
            "least": self.target.least,
            "lower_is_better": self.target.lower,
            "verdict": self.verdict.value,
            "note": self.note,
        }


def unmeasured(name: str, target: Target, why: str) -> Figure:
    """A row that could not be measured, which is a miss."""
    return Figure(name, "—", "—", None, target, why)


def quantity(value: float | None, unit: str) -> str:
    """A number with as many digits as it is worth."""
    if value is None:
        return "—"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    number = f"{value:,.{digits}f}"
    number = number.rstrip("0").rstrip(".") if "." in number and unit not in ("×", "s") else number
    return f"{number} {unit}".rstrip()


_HEADS: Final = ("figure", "ours", "peer or limit", "ratio", "goal", "least", "verdict")


def table(figures: Sequence[Figure]) -> str:
    """All rows as text; notes follow, numbered."""
    notes = list(dict.fromkeys(figure.note for figure in figures if figure.note))
    rows = [
        (
            f"{figure.name} [{notes.index(figure.note) + 1}]" if figure.note else figure.name,
            figure.ours,
            figure.against,
            quantity(figure.value, figure.target.unit),
            figure.target.shown(figure.target.goal),
            figure.target.shown(figure.target.least),
            figure.verdict.value,
        )
        for figure in figures
    ]
    widths = [max(len(cell) for cell in column) for column in zip(_HEADS, *rows, strict=True)]
    lines = [_line(_HEADS, widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(row, widths) for row in rows]
    lines += [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def as_json(figures: Iterable[Figure], *, load: float) -> str:
    """All rows for programs, with the machine that they hold for.

    Args:
        load: how many programs were at work before the first measurement, as `os.getloadavg` says it.
    """
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_before": load,
    }
    return json.dumps(
        {"machine": machine, "figures": [figure.as_json() for figure in figures]},
        ensure_ascii=False,
        indent=2,
    )
