"""One operator's machine with its ledger and its commands, in front of a stand-in for WeChat Pay.

The stages and the ledger are the real ones. What `campaign.cli` does around them (lock, plan, send) is
done here in the same order, without a terminal.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random

from campaign.domain.billno import repeat_key
from campaign.domain.breaker import BreakerPolicy
from campaign.domain.decision import Policy
from campaign.domain.entry import Entry
from campaign.domain.forecast import budget_problems, forecast
from campaign.domain.limits import Limits
from campaign.domain.order import PacketDefaults, PacketOrder, Source
from campaign.domain.packet import Sender
from campaign.domain.plan import ORDINAL_KEYS, Draft
from campaign.domain.state import COMMITTED, State
from campaign.errors import CampaignHeld, Conflict, SameListAgain, SheetRejected
from campaign.ledger.registry import Registry
from campaign.ledger.store import Ledger
from campaign.rehearsal.books import Books, Order
from campaign.rehearsal.faults import Faults
from campaign.rehearsal.memory import MemoryTransport
from campaign.rehearsal.rules import RehearsalMerchant, Rules
from campaign.stages.pacing import SharedPacer
from campaign.stages.plan import SheetFacts, draft, plan, refuse_same_list
from campaign.stages.reconcile import reconcile
from campaign.stages.send import send
from campaign.stages.shift import Asked, Desk, Sent, Shift
from campaign.stages.standing import Standing, standing
from campaign.text import text
from campaign.wechat.client import RedpackClient
from tests.simulation.parts import Disk, InlineCrew, TrueClock, VirtualClock, VirtualPacer, Wire

MCH_ID = "1900000109"
WXAPPID = "wx0123456789abcdef"
API_KEY = "0123456789abcdefghijABCDEFGHIJ01"
GATEWAY = "simulation"
#: A Wednesday afternoon in Beijing.
START_S = 1_772_607_600.0
DAY_S = 86_400.0

SENDER = Sender(mch_id=MCH_ID, wxappid=WXAPPID, client_ip="192.0.2.10")
DEFAULTS = PacketDefaults(
    send_name="天虹百货", act_name="猜灯谜抢红包", wishing="祝您元宵节快乐!", remark="猜越多得越多,快来抢!"
)
LIMITS = Limits(campaign_fen=10_000_000, in_doubt_fen=10_000_000)


@lru_cache
def _memory_folder() -> Path | None:
    """A folder in memory, where the machine has one: nothing here needs to survive."""
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@lru_cache
def _empty_ledger() -> bytes:
    """A new ledger's file; copying it is a hundred times faster than migrating each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with Ledger.open(path, merchant=MCH_ID, gateway=GATEWAY, clock=VirtualClock(START_S)) as ledger:
            ledger._db.execute("PRAGMA journal_mode = DELETE")
        return path.read_bytes()


def order(
    row: int,
    re_openid: str,
    total_amount: int,
    *,
    key: str = "",
    wishing: str = "",
    sheet: str = "lantern",
) -> PacketOrder:
    """One row of a sheet, with the settings' texts."""
    return PacketOrder(
        source=Source(file=f"{sheet}.xlsx", sheet=sheet, row=row),
        row_key=key or re_openid,
        re_openid=re_openid,
        total_amount=total_amount,
        wishing=wishing or DEFAULTS.wishing,
        send_name=DEFAULTS.send_name,
        act_name=DEFAULTS.act_name,
        remark=DEFAULTS.remark,
    )


def orders(*rows: str, keys: str = "re_openid") -> list[PacketOrder]:
    """A sheet in short: ``orders("oA 1.88", "oB 8.88")``; with ``keys="id"``: ``"7 oA 1.88"``."""
    made: list[PacketOrder] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        *key, openid, yuan = row.split()
        seen[openid] = seen.get(openid, 0) + 1
        row_key = key[0] if key else repeat_key(openid, seen[openid]) if keys == ORDINAL_KEYS else openid
        made.append(order(number, openid, round(float(yuan) * 100), key=row_key))
    return made


@dataclass
class Machine:
    """Everything that one operator has, and the stand-in. Closes with `close`."""

    rng: Random
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START_S))
    #: Called at every step that touches disk or network; may raise `Crash`.
    point: Callable[[str], None] = lambda _: None
    campaign: str = "lantern"
    sender: Sender = SENDER
    api_key: str = API_KEY
    policy: Policy = field(default_factory=Policy)
    limits: Limits = LIMITS
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    sends_per_second: float = 20.0
    workers: int = 4
    balance_fen: int = 10_000_000
    merchant: RehearsalMerchant = field(
        default_factory=lambda: RehearsalMerchant(
            mch_id=MCH_ID, wxappid=WXAPPID, api_key=API_KEY, claim_share=0.7
        )
    )
    gateway_seed: int = 0
    #: What the operator was told, newest last.
    said_behind: int = 0
    stop_asked: bool = False

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=_memory_folder()))
        self.path = self._folder / "ledger.db"
        self.disk = Disk(self.path, self.rng, self._at)
        self.books = Books(balance_fen=self.balance_fen, now_s=self.clock.true_s())
        self.rules = Rules(self.books, self.merchant, clock=TrueClock(self.clock), seed=self.gateway_seed)
        self.wire = Wire(
            MemoryTransport(self.rules, sleep=self.clock.sleep),
            self.clock,
            self.rng,
            self._at,
            sends_per_second=self.sends_per_second,
            stored=lambda number: self.books.order(number) is not None,
            before_send=self._recorded,
        )
        self.registry = Registry(self._folder / "state")
        self._held: set[str] = set()
        self._processes = 0
        self._open: Ledger | None = None
        self.path.write_bytes(_empty_ledger())

    def _at(self, step: str) -> None:
        """`point` as it is now; tests replace it."""
        self.point(step)

    def close(self) -> None:
        self.books.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The world

    def faults(self, **document: object) -> None:
        """Break the stand-in as ``campaign.rehearsal.faults`` describes; nothing given: all is well again."""
        self.rules.faults = Faults.parse(document)

    def top_up(self, fen: int) -> None:
        self.books.top_up(fen, self.clock.true_s())

    def orders_at_gateway(self) -> dict[str, Order]:
        """What WeChat Pay has, by number, with everything booked that is due by now."""
        self.rules.settle()
        return {o.mch_billno: o for o in self.books.orders()}

    def paid(self) -> dict[str, Order]:
        """The orders that money left for."""
        return {number: o for number, o in self.orders_at_gateway().items() if o.paid_s is not None}

    # The commands

    @contextmanager
    def look(self) -> Iterator[Ledger]:
        """The ledger for somebody who only looks; nothing happens meanwhile."""
        point, self.point = self.point, lambda _: None
        full, self.disk.full_share = self.disk.full_share, 0.0
        try:
            with self.ledger() as ledger:
                yield ledger
        finally:
            self.point, self.disk.full_share = point, full

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger as a process opens it."""
        with (
            self.disk.mounted(),
            Ledger.open(self.path, merchant=MCH_ID, gateway=GATEWAY, clock=self.clock) as ledger,
        ):
            outer, self._open = self._open, ledger
            try:
                yield ledger
            finally:
                self._open = outer

    def run(
        self,
        sheet: Sequence[PacketOrder],
        *,
        name: str = "",
        keys: str = "re_openid",
        partial: bool = False,
        reopen: bool = False,
        wait_s: float = 300.0,
        also_pays: Sequence[str] = (),
    ) -> Standing:
        """``campaign run SHEET --yes``, as `campaign.cli.run` goes about it."""
        name = name or self.campaign
        with self._lock(name), self._ledger_to_run() as ledger:
            known = ledger.campaign(name)
            if known is not None and known.cancelled_at_s is not None and not reopen:
                raise Conflict(text("cancelled"))
            facts = SheetFacts(file=f"{name}.xlsx", digest=name, key_column=keys, partial=partial)
            drafted = self.draft(ledger, sheet, facts, name=name, also_pays=also_pays)
            now_s = self.clock.now_s()
            totals = ledger.totals(name)
            counted = sum(totals[state][1] for state in (*COMMITTED, State.REFUNDED))
            costs = forecast(
                drafted.pending, self.limits, sends_per_second=self.sends_per_second, counted_fen=counted
            )
            source = Source(file=f"{name}.xlsx", sheet="lantern", row=0)
            if problems := budget_problems(costs, self.limits, source):
                raise SheetRejected(problems[0].problem)
            if reopen:
                ledger.reopen(name, now_s)
            plan(ledger, drafted, sheet=facts, title="", now_s=now_s)

            def replan() -> bool:
                again = draft(ledger, sheet, campaign=name, sheet=facts, sender=self.sender)
                plan(ledger, again, sheet=facts, title="", now_s=self.clock.now_s())
                return bool(again.revised)

            with self.desk(ledger) as desk:
                shift = send(
                    desk,
                    name,
                    wait_s=wait_s,
                    pause=self.clock.sleep,
                    say_behind=self._say_behind,
                    replan=replan,
                )
            return standing(ledger, name, now_s=self.clock.now_s(), halt=shift.halt)

    def draft(
        self,
        ledger: Ledger,
        sheet: Sequence[PacketOrder],
        facts: SheetFacts,
        *,
        name: str = "",
        also_pays: Sequence[str] = (),
    ) -> Draft:
        """What running this sheet would plan; raises the conflicts that forbid it."""
        drafted = draft(ledger, sheet, campaign=name or self.campaign, sheet=facts, sender=self.sender)
        if refuse_same_list([ledger], drafted, sheet=facts, also_pays=also_pays, now_s=self.clock.now_s()):
            raise SameListAgain(text("nobody is there to agree to the common rows"))
        return drafted

    @contextmanager
    def _ledger_to_run(self) -> Iterator[Ledger]:
        """The ledger; one that vanished or is an older copy is noticed, as `campaign.cli.names` does."""
        behind = self.registry.standing(self.path).vanished
        with self.ledger() as ledger:
            last = self.registry.last_event(self.path)
            behind = behind or (last is not None and not ledger.has_event(*last))
            if behind:
                ledger.ask_everything_first(self.clock.now_s())
            self.registry.remember(self.path, ledger.head())
            yield ledger
            self.registry.remember(self.path, ledger.head())

    def reconcile(self) -> dict[str, Shift]:
        """``campaign reconcile``."""
        with self.ledger() as ledger, self.desk(ledger) as desk:
            names = [campaign.name for campaign in ledger.campaigns()]
            return reconcile(desk, names, hold=self._try_lock)

    def cancel(self) -> int:
        """``campaign cancel``."""
        with self._lock(self.campaign), self.ledger() as ledger:
            return ledger.cancel(self.campaign, self.clock.now_s())

    @contextmanager
    def desk(self, ledger: Ledger) -> Iterator[Desk]:
        """What the stages work with."""
        self._processes += 1
        crew: InlineCrew[Sent | Asked] = InlineCrew(self.workers, self.rng)
        gateway = RedpackClient(
            transport=self.wire, api_key=self.api_key, mch_id=MCH_ID, appid=self.sender.wxappid
        )
        pacer = SharedPacer(self._folder / "sends.pace", self.sends_per_second, self.clock)
        try:
            yield Desk(
                ledger=ledger,
                gateway=gateway,
                send_pacer=pacer,
                query_pacer=VirtualPacer(self.clock, 50.0),
                clock=self.clock,
                crew=crew,
                policy=self.policy,
                limits=self.limits,
                breaker=self.breaker,
                sends_per_second=self.sends_per_second,
                owner=f"machine:{self._processes}",
                stopped=lambda: self.stop_asked,
            )
        finally:
            pacer.close()

    # What a test looks at

    def entries(self) -> dict[str, Entry]:
        """The campaign's entries by number."""
        with self.look() as ledger:
            return {entry.mch_billno: entry for entry in ledger.entries(self.campaign)}

    def states(self) -> str:
        """The states in sheet order, as ``"accepted planned"``."""
        return " ".join(entry.state for entry in self.entries().values())

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.sleep(seconds)

    def _say_behind(self) -> None:
        self.said_behind += 1

    def _recorded(self, number: str) -> None:
        """The intent to send is durable before the request leaves."""
        assert self._open is not None
        entry = self._open.entry(number)
        assert entry is not None, "sent without a plan"
        assert entry.state is State.IN_DOUBT, f"a request leaves for an entry that is {entry.state}"
        assert self._open.attempts(number)[-1].ended_at_s is None, "the attempt was not recorded"

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with self._try_lock(name) as held:
            if not held:
                raise CampaignHeld(text("held"))
            yield

    @contextmanager
    def _try_lock(self, name: str) -> Iterator[bool]:
        if name in self._held:
            yield False
            return
        self._held.add(name)
        try:
            yield True
        finally:
            self._held.discard(name)


def corrected(sheet: Sequence[PacketOrder], row: int, **changes: object) -> list[PacketOrder]:
    """The sheet with one row (counted as Excel does) changed."""
    return [replace(o, **changes) if o.source.row == row else o for o in sheet]  # type: ignore[arg-type]
