"""Big campaigns: a sheet, its first run until money would flow, and the rest of its life in fast motion."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from campaign.cli.desk import EXIT_INTERRUPTED
from campaign.config import load_settings
from campaign.domain.answer import Outcome, SendAnswer
from campaign.domain.decision import after_send
from campaign.ledger.records import SendResult
from tests.acceptance.world import Desk, openid
from tests.bench.gateway import accepted
from tests.bench.ground import Ended, Ground

#: A run or a reconcile of a big campaign is stopped after about so many requests.
ENOUGH = 300
#: Slow enough that the stop comes in time.
_LIMIT = 200
_BATCH = 2_000


@dataclass(frozen=True)
class Begun:
    """A command that was stopped soon after its first requests."""

    ended: Ended
    #: From the start of the process to its first request, in seconds, and what of it was processor time.
    first_wall_s: float
    first_cpu_s: float

    def __str__(self) -> str:
        return f"{self.first_cpu_s:.2f} s CPU in {self.first_wall_s:.2f} s, peak {self.ended.peak_mb:,.0f} MB"


class BigCampaign:
    """So many people, in a workbook, at a desk of their own; its first run has begun to send."""

    def __init__(self, ground: Ground, rows: int) -> None:
        self._ground = ground
        self.rows = rows
        self.name = f"big-{rows}"
        self.desk = self._new_desk()
        self.sheet = self.desk.folder / f"{self.name}.xlsx"
        write_workbook(self.sheet, rows)
        #: Read, check, plan, and the first packets.
        self.first = self.begin("run", str(self.sheet), "--yes")
        self._accepted = 0

    def another_first(self) -> Begun:
        """What `first` measures once more, at a new desk, which is taken away again."""
        mine, self.desk = self.desk, self._new_desk()
        try:
            return self.begin("run", str(self.sheet), "--yes")
        finally:
            shutil.rmtree(self.desk.folder)
            self.desk = mine

    def begin(self, *arguments: str) -> Begun:
        """A command that would send or ask for a long time; it is stopped when it has begun to."""
        gateway = self._ground.gateway
        gateway.begin()
        running = self._ground.start(self._command(*arguments), env=self.desk.env, cwd=self.desk.folder)
        gateway.tell(f"watch {running.pid}")
        ended = running.wait(stop_if=lambda: gateway.tell("count")["requests"] >= ENOUGH)
        if ended.code != EXIT_INTERRUPTED:
            raise RuntimeError(f"exit {ended.code} of {running.command}\n{ended.err[-4000:]}")
        seen = gateway.seen()
        first_s, first_cpu_s = (
            min(sends[:1] + queries[:1])
            for sends, queries in ((seen.sends_s, seen.queries_s), (seen.sends_cpu_s, seen.queries_cpu_s))
        )
        return Begun(ended, first_s - running.began_s, first_cpu_s)

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Ended:
        """A command that ends by itself, with one of these exit codes."""
        return self._ground.run(
            self._command(*arguments), env=self.desk.env, cwd=self.desk.folder, codes=codes
        )

    def status(self) -> Ended:
        """Its status as JSON. A campaign that was stopped is not finished: exit 5."""
        return self.run("status", self.name, "--json", codes=(0, 5))

    def accept(self, rows: int) -> None:
        """Have so many rows accepted, through the ledger in the way of `send`, without a gateway."""
        settings = load_settings(self.desk.folder / "campaign.toml")
        policy, limits = settings.policy(), settings.limits.as_limits()
        with self.desk.ledger() as ledger:
            while self._accepted < rows:
                now_s = time.time()
                wanted = ledger.sendable(self.name, now_s=now_s, limit=min(_BATCH, rows - self._accepted))
                if not wanted:
                    return  # the runs that were stopped had sent the rest
                with ledger.atomic():
                    begun = ledger.begin_sends(
                        wanted, limits=limits, now_s=now_s, owner="bench", lease_s=300.0
                    )
                    results = []
                    for number, entry in enumerate(begun.entries, self._accepted):
                        raw = accepted({**entry.parameters}, number)
                        answer = SendAnswer(
                            outcome=Outcome.ACCEPTED, send_listid=f"1000041701{number:018d}", raw=raw
                        )
                        step = after_send(answer.outcome, entry, now_s=now_s, policy=policy)
                        results.append(SendResult(entry=entry, answer=answer, step=step))
                    ledger.end_sends(results, now_s)
                self._accepted += len(results)

    def _new_desk(self) -> Desk:
        return self._ground.desk({"gateway": {"sends_per_second": _LIMIT, "queries_per_second": _LIMIT}})

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return ["-m", "campaign", "--config", "campaign.toml", *arguments]


def big_campaign(ground: Ground, rows: int) -> BigCampaign:
    """The campaign of so many rows, made once in one call of the bench."""
    return ground.once(f"big campaign of {rows}", lambda: BigCampaign(ground, rows))


def write_workbook(path: Path, rows: int) -> None:
    """Four columns, as a department makes them: id, name, openid, amount."""
    from rustpy_xlsxwriter import write_worksheet

    people = (
        {"id": n, "name": f"员工{n:07d}", "openid": openid(n, "big"), "amount": 1 + n % 89 / 100}
        for n in range(rows)
    )
    write_worksheet(people, str(path))
