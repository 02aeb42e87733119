"""What a run shows while it works: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text as RichText

from campaign.cli.forecast import duration
from campaign.cli.frame import Session
from campaign.domain.money import yuan_grouped
from campaign.domain.state import State
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.text import text

_BAR_EVERY_S: Final = 0.1
_LINE_EVERY_S: Final = 5.0


class Progress:
    """Follows one campaign's rows through the ledger; call it after every commit."""

    def __init__(self, session: Session, ledger: Ledger, campaign: str, clock: Clock) -> None:
        self._session = session
        self._ledger = ledger
        self._campaign = campaign
        self._clock = clock
        self._terminal = session.console.is_terminal
        self._shown_s = clock.monotonic_s()
        self._begun_s = self._shown_s
        totals = ledger.totals(campaign)
        self._rows = sum(rows for rows, _ in totals.values())
        self._planned_first = totals[State.PLANNED][0]
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[yuan]}"),
            _Rate(),
            TimeRemainingColumn(),
            console=session.console,
            disable=not self._terminal,
            transient=True,
        )
        self._task = self._bar.add_task(
            "", total=self._rows, completed=self._rows - self._planned_first, yuan=""
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self) -> None:
        """Show where the campaign is, if it is time to."""
        now_s = self._clock.monotonic_s()
        if now_s - self._shown_s < (_BAR_EVERY_S if self._terminal else _LINE_EVERY_S):
            return
        self._shown_s = now_s
        totals = self._ledger.totals(self._campaign)
        planned_rows, planned_fen = totals[State.PLANNED]
        sent_fen = sum(fen for _, fen in totals.values()) - planned_fen
        if self._terminal:
            sent = self._session.speech.say(text("{yuan} yuan", yuan=yuan_grouped(sent_fen)))
            self._bar.update(self._task, completed=self._rows - planned_rows, yuan=sent)
            return
        rate = (self._planned_first - planned_rows) / max(now_s - self._begun_s, 1e-9)
        self._session.say(
            text(
                "{done} of {rows} rows, {yuan} yuan, {rate} rows/s, about {left} left",
                done=self._rows - planned_rows,
                rows=self._rows,
                yuan=yuan_grouped(sent_fen),
                rate=f"{rate:.1f}",
                left=duration(planned_rows / rate) if rate > 0 else "?",
            )
        )


class _Rate(ProgressColumn):
    """Rows per second."""

    def render(self, task: object) -> RichText:
        speed = getattr(task, "speed", None)
        return RichText(f"{speed:.1f}/s" if speed else "")
