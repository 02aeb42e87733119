"""The report as one self-contained HTML page, for people who look rather than read. Openids are masked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from campaign.domain.days import beijing_text
from campaign.domain.mask import mask_openid
from campaign.domain.money import Sum, yuan_grouped, yuan_text
from campaign.domain.summary import Summary, closed_at_s, sent_at_s
from campaign.domain.verdict import OWNER_TEXT, VERDICT_TEXT, Explain, Verdict, evidence
from campaign.report.bills import back_by_ledger, standing, tied
from campaign.report.lines import COLOURS, REHEARSAL_BANNER, Facts, Line, Say
from campaign.report.notes import notes
from campaign.report.rendering import rendered
from campaign.report.seal import Seal
from campaign.text import text

#: A browser searches so many rows without effort; beyond them only those that need a person are listed.
ROWS_MAX: Final = 50_000

_SENT_COLOUR: Final = "#3F5F85"
_PLACE: Final = {found: place for place, found in enumerate(Verdict)}

# The charts' drawing area, in the units of their viewBox.
_WIDTH: Final = 480
_GROUND: Final = 190
_HEIGHT: Final = 165
_DAYS_MAX: Final = 31
_HOURS_MAX: Final = 48


class PageReport:
    """Collects the rows as compact JSON; browser and reader sort them out."""

    def __init__(
        self,
        path: Path,
        facts: Facts,
        *,
        say: Say,
        explain: Explain,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._facts = facts
        self._say = say
        self._explain = explain
        self._rows_max = rows_max
        self._rows: list[str] = []
        self._needs = 0
        self._left_out = 0

    def add(self, line: Line) -> None:
        """Take one row."""
        self._needs += line.need is not None
        if len(self._rows) >= self._rows_max and (line.need is None or len(self._rows) >= 2 * self._rows_max):
            self._left_out += 1
            return
        entry, say, need = line.entry, self._say, line.need
        row = (
            entry.row,
            entry.re_openid if self._facts.unmask else mask_openid(entry.re_openid),
            yuan_text(entry.total_amount),
            _PLACE[line.verdict],
            say(evidence(entry)),
            _time(sent_at_s(entry)),
            _time(closed_at_s(entry, line.verdict)),
            entry.mch_billno,
            need and f"{say(need.reason)} → {say(OWNER_TEXT[need.owner])}: {say(need.advice)}",
        )
        self._rows.append(_script_json(row))

    def finish(self, summary: Summary, digest: str) -> None:
        """Write the page."""
        for part in rendered("page.html", self._content(summary, digest)):
            self._file.write(part)
        self._file.flush()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _content(self, summary: Summary, digest: str) -> dict[str, Any]:
        facts, say, totals = self._facts, self._say, summary.totals
        largest = max((t.fen for t in totals.verdicts.values()), default=0) or 1
        bars = [
            {
                "label": say(VERDICT_TEXT[found]),
                "colour": COLOURS[found],
                "percent": round(100 * total.fen / largest, 1),
                "rows": f"{total.rows:,}",
                "yuan": yuan_grouped(total.fen),
            }
            for found, total in totals.verdicts.items()
        ]
        left_out = text(
            "{rows} more rows are in the workbook; here are the first ones and those that need a person.",
            rows=self._left_out,
        )
        return {
            "lang": facts.lang.replace("_", "-"),
            "facts": facts,
            "banner": REHEARSAL_BANNER if facts.rehearsal else "",
            "words": {name: say(words) for name, words in _WORDS.items()},
            "about": self._about(summary),
            "notes": [say(n) for n in notes(facts, summary, needs=self._needs, explain=self._explain)],
            "cards": self._cards(summary),
            "bars": bars,
            "verdicts": [{"label": bar["label"], "colour": bar["colour"]} for bar in bars],
            "total": {"rows": f"{totals.planned.rows:,}", "yuan": yuan_grouped(totals.planned.fen)},
            "adds_up": totals.difference == Sum(),
            "bills": [
                {
                    "label": say(tie.label),
                    "rows": f"{tie.total.rows:,}",
                    "yuan": yuan_grouped(tie.total.fen),
                    "difference": tie.difference,
                    "wrong": tie.wrong,
                }
                for tie in tied(summary)
            ],
            "matched": say(standing(summary)),
            "charts": [*self._day_chart(summary), *self._hour_chart(summary)],
            "heads": [say(head) for head in _HEADS],
            "left_out": say(left_out) if self._left_out else "",
            "digest": digest,
            "seal": Seal.of(facts).to_json(),
            "rows": self._rows,
        }

    def _about(self, summary: Summary) -> list[tuple[str, str]]:
        facts = self._facts
        return [
            (self._say(label), value)
            for label, value in (
                (text("campaign"), facts.campaign.name),
                (text("merchant number"), facts.merchant),
                (text("gateway"), facts.gateway),
                (text("first request (Beijing time)"), _time(summary.first_sent_at_s)),
                (text("report made (Beijing time)"), beijing_text(facts.made_at_s)),
            )
        ]

    def _cards(self, summary: Summary) -> list[dict[str, Any]]:
        verdicts = summary.totals.verdicts
        cards = (
            (text("all"), summary.totals.planned, False),
            (text("paid"), summary.paid, False),
            (text("came back"), back_by_ledger(summary), False),
            (text("unknown"), verdicts[Verdict.UNKNOWN], bool(verdicts[Verdict.UNKNOWN].rows)),
        )
        made = [
            {
                "label": self._say(label),
                "figure": f"¥{yuan_grouped(total.fen)}",
                "rows": self._say(text("{rows} rows", rows=f"{total.rows:,}")),
                "bad": bad,
            }
            for label, total, bad in cards
        ]
        need = {
            "label": self._say(text("need a person")),
            "figure": self._say(text("{rows} rows", rows=f"{self._needs:,}")),
            "rows": "",
            "bad": self._needs > 0,
        }
        return [*made, need]

    def _day_chart(self, summary: Summary) -> list[dict[str, Any]]:
        """Money by Beijing day; the last month where there are more days."""
        days = sorted(summary.days.items())[-_DAYS_MAX:]
        series = (
            (self._say(text("sent")), _SENT_COLOUR, [day.sent.fen for _, day in days]),
            (self._say(text("opened")), COLOURS[Verdict.CLAIMED], [day.claimed.fen for _, day in days]),
            (self._say(text("came back")), COLOURS[Verdict.REFUNDED], [day.refunded.fen for _, day in days]),
        )
        names = [f"{day:%m-%d}" for day, _ in days]
        return _columns(self._say(text("Money by Beijing day (yuan)")), names, series, yuan_grouped)

    def _hour_chart(self, summary: Summary) -> list[dict[str, Any]]:
        hours = range(min(max(summary.claim_hours, default=-1) + 1, _HOURS_MAX))
        rows = [summary.claim_hours[hour].rows if hour in summary.claim_hours else 0 for hour in hours]
        series = ((self._say(text("opened")), COLOURS[Verdict.CLAIMED], rows),)
        title = self._say(text("Packets opened, by hours after sending"))
        return _columns(title, [f"{hour} h" for hour in hours], series, lambda count: f"{count:,}")


_WORDS: Final = {
    "no_money": text("no real money moved"),
    "report": text("Red packet report"),
    "open_ends": text("Open ends"),
    "verdicts": text("What became of the money"),
    "sum": text("sum of the verdicts"),
    "adds_up": text("adds up"),
    "wrong": text("DOES NOT ADD UP"),
    "bills": text("Tied to the funds bills"),
    "rows": text("All rows"),
    "no_script": text("Search and table need JavaScript; the workbook has the same rows."),
    "find": text("search row, openid, number, words"),
    "verdict": text("verdict"),
    "all": text("all verdicts"),
    "needs": text("only rows that need a person"),
    "more": text("show more"),
    "digest": text("digest of all rows"),
}
_HEADS: Final = (
    text("row"),
    text("openid"),
    text("yuan"),
    text("verdict"),
    text("sent"),
    text("opened or back"),
    text("bill number"),
)


def _columns(
    title: str,
    names: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[int]]],
    word: Callable[[int], str],
) -> list[dict[str, Any]]:
    """A column chart as numbers for the template's SVG; none where there is nothing to draw."""
    top = max((value for _, _, values in series for value in values), default=0)
    if not top:
        return []
    slot = _WIDTH / len(names)
    width = min(slot * 0.84 / len(series), 60)
    bars = [
        {
            "x": round(slot * (place + 0.5) + width * (nth - len(series) / 2), 1),
            "y": round(_GROUND - _HEIGHT * value / top, 1),
            "width": round(width, 1),
            "height": round(_HEIGHT * value / top, 1),
            "colour": colour,
            "says": f"{names[place]} {name}: {word(value)}",
        }
        for nth, (name, colour, values) in enumerate(series)
        for place, value in enumerate(values)
        if value
    ]
    every = -(-len(names) // 8)
    labels = [
        {"x": round(slot * (place + 0.5), 1), "y": _GROUND + 18, "anchor": "middle", "says": name}
        for place, name in enumerate(names)
        if place % every == 0
    ]
    labels.append({"x": 0, "y": 14, "anchor": "start", "says": f"↑ {word(top)}"})
    legend = [{"label": name, "colour": colour} for name, colour, _ in series]
    return [{"title": title, "bars": bars, "labels": labels, "legend": legend}]


def _script_json(value: object) -> str:
    """JSON that is safe inside a script element: no mark-up can begin or end in it."""
    dumped = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _time(at_s: float | None) -> str:
    return "" if at_s is None else beijing_text(at_s)
