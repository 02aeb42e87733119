"""One page of paper: totals, digest and signatures. Needs WeasyPrint, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from campaign.domain.days import beijing_text
from campaign.domain.money import Sum, yuan_grouped
from campaign.domain.summary import Summary
from campaign.domain.verdict import VERDICT_TEXT, Explain
from campaign.errors import SetupError
from campaign.report.bills import standing, tied
from campaign.report.lines import REHEARSAL_BANNER, Facts, Line, Say
from campaign.report.notes import notes
from campaign.report.rendering import rendered
from campaign.report.seal import Seal
from campaign.text import text


class SlipReport:
    """Counts the rows that need a person; everything else is in the totals."""

    def __init__(self, path: Path, facts: Facts, *, say: Say, explain: Explain) -> None:
        """Find the program that makes PDF.

        Raises:
            SetupError: it is not installed.
        """
        try:
            self._pdf: Any = import_module("weasyprint")
        except (ImportError, OSError) as error:  # OSError: its system libraries are missing
            raise SetupError(
                text("a PDF needs WeasyPrint, which is not installed completely"),
                advice=text("Install it with `pip install 'campaign[pdf]'`; the README names its libraries."),
            ) from error
        self._path = path
        self._facts = facts
        self._say = say
        self._explain = explain
        self._needs = 0

    def add(self, line: Line) -> None:
        """Take one row."""
        self._needs += line.need is not None

    def finish(self, summary: Summary, digest: str) -> None:
        """Write the page."""
        content = slip_content(
            self._facts, summary, digest, needs=self._needs, say=self._say, explain=self._explain
        )
        page = "".join(rendered("slip.html", content))
        paper = self._pdf.HTML(string=page, url_fetcher=_nothing_from_outside)
        paper.write_pdf(self._path, custom_metadata=True)  # the seal

    def close(self) -> None:
        """Nothing is open between calls."""


def slip_content(
    facts: Facts, summary: Summary, digest: str, *, needs: int, say: Say, explain: Explain
) -> dict[str, object]:
    """What the template is filled with."""
    words = {
        "no_money": text("no real money moved"),
        "report": text("Red packet report"),
        "verdict": text("verdict"),
        "rows": text("rows"),
        "yuan": text("yuan"),
        "sum": text("sum of the verdicts"),
        "paid": text("paid"),
        "bills": text("Tied to the funds bills"),
        "date": text("date"),
    }
    about = (
        (text("campaign"), facts.campaign.name),
        (text("merchant number"), facts.merchant),
        (text("gateway"), facts.gateway),
        (text("report made (Beijing time)"), beijing_text(facts.made_at_s)),
        (text("digest of all rows"), digest),
        (text("ledger's last event"), f"{facts.head[0]} {facts.head[1]}".strip()),
    )
    return {
        "lang": facts.lang.replace("_", "-"),
        "facts": facts,
        "seal": Seal.of(facts).to_json(),
        "banner": REHEARSAL_BANNER if facts.rehearsal else "",
        "words": {name: say(word) for name, word in words.items()},
        "about": [(say(label), value) for label, value in about],
        "lines": [
            {"label": say(VERDICT_TEXT[found]), **_figures(total)}
            for found, total in summary.totals.verdicts.items()
        ],
        "total": _figures(summary.totals.planned),
        "paid": _figures(summary.paid),
        "bills": [
            {"label": say(tie.label), "difference": tie.difference, "wrong": tie.wrong, **_figures(tie.total)}
            for tie in tied(summary)
        ],
        "matched": say(standing(summary)),
        "notes": [say(note) for note in notes(facts, summary, needs=needs, explain=explain)],
        "signers": [say(who) for who in (text("prepared by"), text("checked by"), text("approved by"))],
    }


def _figures(total: Sum) -> Mapping[str, str]:
    return {"rows": f"{total.rows:,}", "yuan": yuan_grouped(total.fen)}


def _nothing_from_outside(url: str, *_: object, **__: object) -> Any:
    """The page has everything in it; whatever asks for more is refused."""
    raise ValueError(url)
