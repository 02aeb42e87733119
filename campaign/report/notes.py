"""What a reader must know before believing that a campaign is closed; on the cover and atop the page."""

from __future__ import annotations

from campaign.domain.money import yuan_grouped
from campaign.domain.state import State
from campaign.domain.summary import Summary
from campaign.domain.verdict import Explain, Verdict, halt_advice
from campaign.report.lines import Facts
from campaign.text import Text, text


def notes(facts: Facts, summary: Summary, *, needs: int, explain: Explain) -> list[Text]:
    """The open ends, worst first; empty when there are none.

    Args:
        needs: rows that need a person.
    """
    found = []
    if facts.campaign.halt is not None:
        found.append(halt_advice(facts.campaign.halt, explain))
    if needs:
        found.append(text("Rows that need a person: {rows}.", rows=needs))
    if summary.billing.findings:
        found.append(
            text(
                "Ledger, WeChat Pay's answers and funds bills contradict each other in {count} places; the "
                "workbook lists them under differences.",
                count=summary.billing.findings,
            )
        )
    if kept_fen := summary.totals.verdicts[Verdict.REFUNDED].fen - summary.refunded_fen:
        found.append(
            text(
                "Of packets that came back, {yuan} yuan did not: they came back in part only, and the rest "
                "counts as paid.",
                yuan=yuan_grouped(kept_fen),
            )
        )
    if unknown := summary.totals.verdicts[Verdict.UNKNOWN].rows:
        found.append(text("Rows of which nobody knows yet whether they were paid: {rows}.", rows=unknown))
    if waiting := summary.states[State.PLANNED].rows:
        found.append(text("Rows that are planned and not sent yet: {rows}.", rows=waiting))
    if facts.campaign.cancelled_at_s is not None:
        found.append(text("The campaign was closed by a person; what was planned is not sent any more."))
    return found
