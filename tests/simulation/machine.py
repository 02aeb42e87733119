"""One operator's machine with its ledger and its commands, in front of a stand-in for WeChat Pay.

The stages, the ledgers and what the commands do to find them are the real ones. What `campaign.cli.run`
does around them (lock, compare, plan, send) is done here in the same order, without a terminal.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from campaign.cli import names
from campaign.cli.run import is_unfinished
from campaign.domain.billno import repeat_key
from campaign.domain.breaker import BreakerPolicy
from campaign.domain.decision import Policy
from campaign.domain.entry import Entry
from campaign.domain.forecast import budget_problems, forecast
from campaign.domain.limits import Limits
from campaign.domain.order import PacketDefaults, PacketOrder, Source
from campaign.domain.overlap import Overlap
from campaign.domain.packet import Sender
from campaign.domain.plan import ORDINAL_KEYS, Draft
from campaign.domain.state import State
from campaign.errors import CampaignHeld, Conflict, SameListAgain, SheetRejected
from campaign.ledger import schema
from campaign.ledger.registry import Registry
from campaign.ledger.seen import Pair
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.rehearsal.books import Books, Order
from campaign.rehearsal.faults import Faults
from campaign.rehearsal.memory import MemoryTransport
from campaign.rehearsal.rules import RehearsalMerchant, Rules
from campaign.stages.pacing import SharedPacer
from campaign.stages.plan import Lost, SheetFacts, draft, plan, refuse_lost_list, refuse_same_list
from campaign.stages.reconcile import reconcile
from campaign.stages.records import ask_status
from campaign.stages.reissue import Reissue, candidates, reissue
from campaign.stages.send import send
from campaign.stages.shift import Asked, Desk, Sent, Shift
from campaign.stages.standing import Standing, standing
from campaign.text import Text, text
from campaign.wechat.client import RedpackClient
from tests.simulation.parts import (
    Broken,
    Crash,
    Disk,
    InlineCrew,
    TrueClock,
    VirtualClock,
    VirtualPacer,
    Wire,
    Writer,
    mounted,
)

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


#: While `handed_on` lasts: disks that no machine has now, in pairs, with their connections.
_spare: ContextVar[list[list[Disk]] | None] = ContextVar("spare", default=None)


@contextmanager
def handed_on() -> Iterator[None]:
    """While this lasts, each machine leaves its disks to the next one.

    Their files begin anew. What SQLite has worked out for the statements of a connection does not: a tenth of
    a story was spent on that.
    """
    spare: list[list[Disk]] = []
    token = _spare.set(spare)
    try:
        yield
    finally:
        _spare.reset(token)
        for disks in spare:
            _throw_away(disks)


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="campaign-", dir=_memory_folder()))


def _throw_away(disks: Sequence[Disk]) -> None:
    for disk in disks:
        disk.unmount()
    shutil.rmtree(disks[0].path.parent, ignore_errors=True)


#: The number of the next empty ledger; a file of another number is another file to a connection.
_fresh = itertools.count(1)


def _new_ledger() -> bytes:
    """A new ledger's file, unlike any that was here before to a connection that has read one of those.

    By its *file change counter* SQLite sees whether a page that it remembers still holds. A story counts it
    up by one for each commit.
    """
    content = bytearray(_empty_ledger())
    counter = (next(_fresh) << 16 & 0xFFFFFFFF).to_bytes(4, "big")
    content[24:28] = content[92:96] = counter  # the counter, and the one at which the file's size was right
    return bytes(content)


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


class Memory(Registry):
    """The real registry, its files in memory: what a process does to it is a step at which it may die."""

    def __init__(self, folder: Path, at: Callable[[str], None]) -> None:
        super().__init__(folder)
        self._at = at
        self._stored: dict[str, dict[str, Any]] = {}
        self._version = 0
        self._kept = False

    def remember_rows(self, ledger: Path, campaign: str, pairs: Iterable[Pair], now_s: float) -> None:
        self._at("before the registry")
        super().remember_rows(ledger, campaign, pairs, now_s)

    def _read(self) -> dict[str, dict[str, Any]]:
        return {path: dict(known) for path, known in self._stored.items()}

    def _write(self, ledgers: dict[str, dict[str, Any]]) -> None:
        self._at("before the registry")
        self._stored = ledgers
        self._version += 1
        self._at("after the registry")

    def version(self) -> tuple[int, int]:
        return self._version, 0

    @contextmanager
    def _locked(self, name: str = "lock") -> Iterator[None]:
        yield

    @contextmanager
    def spending(self, clock: Clock) -> Iterator[None]:
        if self._kept:
            raise Broken("two processes spend the merchant's allowance at once")
        self._kept = True
        try:
            yield
        finally:
            self._kept = False

    def _path(self, ledger: Path) -> Path:
        return ledger  # no links here


@dataclass(frozen=True)
class Settings:
    """The settings, as far as `campaign.cli.names` asks for them."""

    ledger: Path
    merchant = SimpleNamespace(mch_id=MCH_ID)

    def ledger_path(self) -> Path:
        return self.ledger

    def ledger_gateway(self) -> str:
        return GATEWAY


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
    told: list[Text] = field(default_factory=list)
    said_behind: int = 0
    stop_asked: bool = False
    #: Which of the two ledgers the settings name.
    place: int = 0
    #: Decides what goes on while a commit is written; without it nothing does.
    meanwhile: Random | None = None

    def __post_init__(self) -> None:
        self._folder = _new_folder()
        self.disks = self._own_disks()
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
        self.forget()
        self._held: set[tuple[Path, str]] = set()
        self._processes = 0
        #: The processes at work, newest last; True for one that has died.
        self._alive: list[bool] = []
        self._open: Ledger | None = None
        self.path.write_bytes(_new_ledger())

    def _own_disks(self) -> list[Disk]:
        """Two disks; the second has no file yet."""
        if spare := _spare.get():
            disks = [Disk(used.path, self.rng, self._at, idle=used.idle) for used in spare.pop()]
            disks[1].lose()
            return disks
        folder = _new_folder()
        return [Disk(folder / name, self.rng, self._at) for name in ("ledger.db", "second.db")]

    @property
    def disk(self) -> Disk:
        """Where the ledger is that the settings name."""
        return self.disks[self.place]

    @property
    def path(self) -> Path:
        return self.disk.path

    @property
    def settings(self) -> Settings:
        return Settings(self.path)

    def forget(self) -> None:
        """Another machine, or another user of this one: nothing is remembered beside the ledgers."""
        shutil.rmtree(self._folder / "state", ignore_errors=True)
        (self._folder / "state").mkdir()
        self.registry = Memory(self._folder / "state", self._at)

    def _at(self, step: str) -> None:
        """`point` as it is now; tests replace it. A process that has died does nothing more."""
        try:
            if self._alive and not self._alive[-1]:
                raise Crash(step)
            self.point(step)
        except Crash:
            if self._alive:
                self._alive[-1] = False
            raise

    def close(self) -> None:
        self.books.close()
        spare = _spare.get()
        if spare is None or any(disk.busy for disk in self.disks):
            _throw_away(self.disks)
        else:
            spare.append(self.disks)
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

    def take_back(self, order: Order) -> None:
        """WeChat Pay pays an order that it has called FAILED."""
        with self.books.transaction():
            self.books.pay(self.rules._paid(order, self.clock.true_s(), claims=True))

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
            with self._seen() if self.has_ledger(self.place) else self.ledger() as ledger:
                yield ledger
        finally:
            self.point, self.disk.full_share = point, full

    def has_ledger(self, place: int) -> bool:
        """Whether there is a ledger with all its tables; a process may have died before it made them."""
        disk = self.disks[place]
        return bool(disk.idle) and disk.read("PRAGMA user_version") == [(schema.VERSION,)]

    @contextmanager
    def _seen(self) -> Iterator[Ledger]:
        """The ledger, without the checks of a process that opens it; an earlier one has made them."""
        with (
            self._process(),
            closing(Ledger(self.disk.connect(), self.path)) as ledger,
            self._at_work(ledger),
        ):
            yield ledger

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger as a process opens it."""
        with (
            self._process(),
            Ledger.open(self.path, merchant=MCH_ID, gateway=GATEWAY, clock=self.clock) as ledger,
            self._at_work(ledger),
        ):
            yield ledger

    @contextmanager
    def _process(self) -> Iterator[None]:
        """A process of its own on this machine."""
        self._alive.append(True)
        before, names.registry_of = names.registry_of, lambda _: self.registry
        try:
            with mounted(self.disks):
                yield
        finally:
            names.registry_of = before
            self._alive.pop()

    @contextmanager
    def _at_work(self, ledger: Ledger) -> Iterator[None]:
        outer, self._open = self._open, ledger
        if self.meanwhile:
            ledger._writer = Writer(self.meanwhile)  # type: ignore[assignment]  # as far as it is used
        try:
            yield
        finally:
            self._open = outer

    def say(self, sentence: Text, *, style: str = "") -> None:
        """What a command tells its operator."""
        self.told.append(sentence)

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
        new_ledger: bool = False,
        file: str = "",
        digest: str = "",
    ) -> Standing:
        """``campaign run SHEET --yes``, as `campaign.cli.run` goes about it.

        Args:
            file: the sheet's name, where it is not the campaign's.
            digest: the sheet's bytes, as their digest.
        """
        name, clock, settings = name or self.campaign, self.clock, self.settings
        file = file or f"{name}.xlsx"
        with (
            self._process(),
            self._lock(name),
            names.ledger_to_run(settings, self, clock, new_ledger=new_ledger) as ledger,  # type: ignore[arg-type]
            names.other_ledgers(settings, clock) as others,  # type: ignore[arg-type]
            self._at_work(ledger),
        ):
            known = ledger.campaign(name)
            if known is not None and known.cancelled_at_s is not None and not reopen:
                raise Conflict(text("cancelled"))
            facts = SheetFacts(file=file, digest=digest or name, key_column=keys, partial=partial)

            def drafting() -> Draft:
                return draft(ledger, sheet, campaign=name, sheet=facts, sender=self.sender)

            drafted = drafting()
            lost = names.lost_lists(settings, (ledger, *others.now()))  # type: ignore[arg-type]
            self._refuse_same_list((ledger, *others.now()), drafted, facts, also_pays, lost)
            self._refuse_beyond_budget(ledger, drafted, file)
            names.remember_rows(settings, drafted, clock.now_s())  # type: ignore[arg-type]
            with others.while_spending(), ledger.atomic():
                self._refuse_same_list((ledger, *others.now()), drafted, facts, also_pays)
                if reopen:
                    ledger.reopen(name, clock.now_s())
                plan(ledger, drafted, sheet=facts, title="", now_s=clock.now_s())
            names.remember_plan(settings, ledger)  # type: ignore[arg-type]

            outdated = drafted.outdated > 0

            def replan() -> bool:
                nonlocal outdated
                if not (outdated or ledger.may_take_up_again(name)):
                    return False
                try:
                    with others.while_spending(), ledger.atomic():
                        again = drafting()
                        self._refuse_same_list((ledger, *others.now()), again, facts, also_pays)
                        plan(ledger, again, sheet=facts, title="", now_s=clock.now_s())
                except Conflict:
                    return False
                outdated = again.outdated > 0
                return bool(again.revised)

            halt = None
            if is_unfinished(ledger, name):
                with self.desk(ledger, others) as desk:
                    halt = send(
                        desk,
                        name,
                        wait_s=wait_s,
                        pause=clock.sleep,
                        say_behind=self._say_behind,
                        replan=replan,
                    ).halt
            return standing(ledger, name, now_s=clock.now_s(), halt=halt)

    def fits(
        self, sheet: Sequence[PacketOrder], *, keys: str, name: str = "", also_pays: Sequence[str] = ()
    ) -> bool:
        """Whether this sheet could be run as that campaign; nothing is recorded."""
        name = name or self.campaign
        facts = SheetFacts(file=f"{name}.xlsx", digest="", key_column=keys)
        with self.look() as ledger, names.other_ledgers(self.settings, self.clock) as others:  # type: ignore[arg-type]
            try:
                drafted = draft(ledger, sheet, campaign=name, sheet=facts, sender=self.sender)
                lost = names.lost_lists(self.settings, (ledger, *others.now()))  # type: ignore[arg-type]
                self._refuse_same_list((ledger, *others.now()), drafted, facts, also_pays, lost)
            except Conflict:
                return False
        return True

    def _refuse_same_list(
        self,
        ledgers: Sequence[Ledger],
        drafted: Draft,
        facts: SheetFacts,
        also_pays: Sequence[str],
        lost: Sequence[Lost] = (),
    ) -> None:
        now_s = self.clock.now_s()
        common: list[Overlap] = refuse_lost_list(lost, drafted, sheet=facts, also_pays=also_pays, now_s=now_s)
        common += refuse_same_list(ledgers, drafted, sheet=facts, also_pays=also_pays, now_s=now_s)
        if common:
            raise SameListAgain(text("nobody is there to agree to the common rows"))

    def _refuse_beyond_budget(self, ledger: Ledger, drafted: Draft, file: str) -> None:
        costs = forecast(
            drafted.pending,
            self.limits,
            sends_per_second=self.sends_per_second,
            counted_fen=ledger.counted_fen(drafted.campaign),
        )
        if problems := budget_problems(costs, self.limits, Source(file=file, sheet="lantern", row=0)):
            raise SheetRejected(problems[0].problem)

    def reconcile(self) -> dict[str, Shift]:
        """``campaign reconcile``."""
        with self.ledger() as ledger:
            campaigns = [campaign.name for campaign in ledger.campaigns()]
            with (
                names.other_ledgers(self.settings, self.clock, only_asks=True) as others,  # type: ignore[arg-type]
                self.desk(ledger, others) as desk,
            ):
                return reconcile(desk, campaigns, hold=self._try_lock)

    def cancel(self) -> int:
        """``campaign cancel``."""
        with self._lock(self.campaign), self.ledger() as ledger:
            return ledger.cancel(self.campaign, self.clock.now_s())

    def reissue(self, *, refunded: bool = False) -> Reissue:
        """``campaign reissue``: the rows that may be paid under a new number."""
        with self.ledger() as ledger:
            found = candidates(ledger, self.campaign, mch_id=MCH_ID, refunded=refunded)
            if not found:
                return Reissue()
            with self.desk(ledger) as desk:
                return reissue(desk, found, refunded=refunded)

    def look_up(self, number: str) -> None:
        """``campaign records status``: asks what became of one packet."""
        with self.ledger() as ledger:
            packet = ledger.sent_packet(mch_billno=number)
            if packet is not None:
                with self.desk(ledger) as desk:
                    ask_status(desk, packet)

    @contextmanager
    def desk(self, ledger: Ledger, others: names.OtherLedgers | None = None) -> Iterator[Desk]:
        """What the stages work with."""
        self._processes += 1
        crew: InlineCrew[Sent | Asked] = InlineCrew(self.workers, self.rng, self.meanwhile)
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
                other_ledgers=others.while_spending if others else lambda: nullcontext(()),
                owner=f"machine:{self._processes}",
                stopped=lambda: self.stop_asked,
            )
        finally:
            pacer.close()

    # What a test looks at

    def entries(self, name: str = "") -> dict[str, Entry]:
        """The campaign's entries by number."""
        with self.look() as ledger:
            return {entry.mch_billno: entry for entry in ledger.entries(name or self.campaign)}

    def states(self) -> str:
        """The states in sheet order, as ``"accepted planned"``."""
        return " ".join(entry.state for entry in self.entries().values())

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.sleep(seconds)

    def _say_behind(self) -> None:
        self.said_behind += 1

    def _recorded(self, number: str) -> Entry:
        """The intent to send is durable before the request leaves: the entry of this number."""
        with self._durable() as ledger:
            entry = ledger.entry(number)
            assert entry is not None, "sent without a plan"
            assert entry.state is State.IN_DOUBT, f"a request leaves for an entry that is {entry.state}"
            assert ledger.attempts(number)[-1].ended_at_s is None, "the attempt was not recorded"
            return entry

    @contextmanager
    def _durable(self) -> Iterator[Ledger]:
        """The ledger of the process at work, without what it has not committed yet."""
        assert self._open is not None
        if not self.committing:
            yield self._open
            return
        with closing(Ledger(self.disk.connect(), self.path)) as ledger:
            yield ledger

    @property
    def committing(self) -> bool:
        """Whether the process at work is writing a commit, for which others would have to wait."""
        return self._open is not None and (self._open._db.in_transaction or self.registry._kept)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with self._try_lock(name) as held:
            if not held:
                raise CampaignHeld(text("held"))
            yield

    @contextmanager
    def _try_lock(self, name: str) -> Iterator[bool]:
        """A lock on a campaign of this ledger, gone with its process."""
        key = (self.path, name)
        if key in self._held:
            yield False
            return
        self._held.add(key)
        try:
            yield True
        finally:
            self._held.discard(key)


def corrected(sheet: Sequence[PacketOrder], row: int, **changes: object) -> list[PacketOrder]:
    """The sheet with one row (counted as Excel does) changed."""
    return [replace(o, **changes) if o.source.row == row else o for o in sheet]  # type: ignore[arg-type]
