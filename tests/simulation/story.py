"""One seed, one story: an operator, a sheet, a gateway that breaks, a machine that dies, and then calm.

The seed decides everything. `Story.tell` carries the story out and raises `Broken` when a promise of the
program was broken; with ``say`` it tells every step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from campaign.domain.billno import Tie, repeat_key
from campaign.domain.decision import Policy
from campaign.domain.entry import Entry, Flag
from campaign.domain.limits import Limits
from campaign.domain.order import PacketOrder, Source
from campaign.domain.plan import ORDINAL_KEYS
from campaign.domain.state import SETTLED, Evidence, State
from campaign.domain.verdict import Verdict, evidence, verdict
from campaign.errors import CampaignError, CampaignHeld, Conflict, KeyChanged, PlanConflict, SameListAgain
from campaign.rehearsal.books import Order
from campaign.rehearsal.rules import RehearsalMerchant
from campaign.stages.plan import SheetFacts
from tests.simulation.machine import (
    API_KEY,
    DAY_S,
    DEFAULTS,
    MCH_ID,
    SENDER,
    START_S,
    WXAPPID,
    Machine,
)
from tests.simulation.parts import Broken, Crash, VirtualClock

#: What may go wrong at the gateway, with the largest share of the requests that meet it.
FAULTS: Final[dict[str, float]] = {
    "refused": 0.2,
    "reset_before": 0.3,
    "http_502_before": 0.2,
    "systemerror": 0.3,
    "unknown_code": 0.2,
    "freq_limit": 0.3,
    "no_auth": 0.3,
    "sendnum_limit": 0.15,
    "rcvdamount_limit": 0.15,
    "sendamount_limit": 0.1,
    "notenough": 0.1,
    "second_over_limited": 0.1,
    "day_over_limited": 0.05,
    "processing": 0.3,
    "processing_unpaid": 0.15,
    "held": 0.15,
    "failed_later": 0.15,
    "send_failed": 0.15,
    "repeat_refused": 1.0,
    "illegal_appid": 0.1,
    "api_method_closed": 0.1,
    "ca_error": 0.1,
    "answer_lost": 0.3,
    "reset_after": 0.4,
    "http_500_after": 0.3,
    "systemerror_paid": 0.3,
    "unknown_code_paid": 0.2,
    "return_code_fail": 0.2,
    "truncated": 0.2,
    "empty": 0.2,
    "html": 0.2,
    "wrong_billno": 0.2,
    "wrong_openid": 0.2,
    "odd_shape": 0.5,
    "unknown_status": 0.2,
    "refund_ing": 1.0,
    "slow": 0.2,
}
#: Faults of the questions under which WeChat Pay tells untruths; what they lead to is flagged.
LIES: Final = ("not_found", "wrong_amount", "other_detail_id")

#: An order at the gateway that money left for, and the states that tell so.
_PAID_STATES: Final = {
    "SENDING": {State.ACCEPTED, State.PARKED, State.IN_DOUBT},
    "SENT": {State.ACCEPTED},
    "RFUND_ING": {State.ACCEPTED},
    "RECEIVED": {State.RECEIVED},
    "REFUND": {State.REFUNDED},
}


@dataclass
class Row:
    """A row as the operator means it. Amounts are never used twice, so a payment tells its row."""

    uid: int
    id: str
    openid: str
    fen: int
    wishing: str = ""
    #: The openid belongs to another account; every request for it is refused.
    bad: bool = False


@dataclass
class Story:
    """See the module."""

    seed: int
    say: Callable[[str], None] = lambda _: None
    calm: bool = False
    steps: int = 0
    #: The sheets that were run, each with the column that gave its keys.
    _history: list[tuple[str, list[Row]]] = field(default_factory=list)
    #: row -> the id it had when the sheet was run last
    _old_ids: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self.rng = Random(self.seed)
        self._uids = 0
        self._fen = iter(rng.sample(range(100, 20_000), 400))
        #: amount -> the row that it was ever asked for
        self.row_of_fen: dict[int, int] = {}
        self.keys: str = rng.choice(["re_openid", "id", "id", ORDINAL_KEYS])
        self.openids = [f"oPerson{n:02d}" for n in range(rng.choice([3, 8, 20, 60]))]
        self.sheet: list[Row] = []
        #: Rows that the operator took away, with their places.
        self.removed: list[tuple[int, Row]] = []
        #: Whether the program took the sheet for another list when it saw it last.
        self.another_list = False
        rows = 40 if rng.random() < 0.04 else rng.randint(1, 12)
        while len(self.sheet) < rows and self._add_row():
            pass
        total = sum(row.fen for row in self.sheet)
        largest = 20_000
        self.crash_share = rng.choice([0.0, 0.005, 0.02, 0.05])
        self.beside_share = rng.choice([0.0, 0.0, 0.01])
        #: The operator lost or restored the ledger, or the clock was set: less can be promised.
        self.lost = False
        self.lied = False
        self.clock_was_set = False
        clock = VirtualClock(START_S + rng.uniform(0, 5 * DAY_S))
        if rng.random() < 0.25:  # shortly before midnight in Beijing
            clock.sleep(-(clock.true_s() + 8 * 3600) % DAY_S - rng.uniform(0, 300))
        limits = Limits(
            campaign_fen=rng.choice(
                [10_000_000, 10_000_000, max(largest, int(total * rng.uniform(0.5, 1.5)))]
            ),
            in_doubt_fen=rng.choice([10_000_000, int(rng.uniform(largest, 3 * largest))]),
            person_day_packets=rng.choice([10, 10, 2, 1]),
            merchant_day_fen=rng.choice([100_000_000, max(largest, int(total * rng.uniform(0.3, 2)))]),
        )
        self.budget_fen = limits.campaign_fen
        rate = rng.choice([1.0, 5.0, 20.0, 30.0])
        self.machine = Machine(
            rng,
            clock,
            self._point,
            policy=Policy(parked_auto=rng.random() < 0.5),
            limits=limits,
            sends_per_second=rate,
            workers=rng.choice([1, 2, 4, 8]),
            balance_fen=rng.choice([10_000_000, int(total * rng.random())]),
            merchant=RehearsalMerchant(
                mch_id=MCH_ID,
                wxappid=WXAPPID,
                api_key=API_KEY,
                claim_share=rng.random(),
                keeps_blocked=rng.choice([0.0, 0.5, 1.0]),
            ),
            gateway_seed=self.seed,
        )
        self.machine.wire.before_send = self._before_send
        self.machine.wire.latency_s = rng.choice([0.0, 0.0, 0.2, 3.0])
        self.machine.wire.late_share = rng.choice([0.0, 0.0, 0.1])
        self.machine.disk.full_share = rng.choice([0.0, 0.0, 0.01])
        self.machine.disk.copy_share = 0.05
        self._beside = False
        self._allowed: set[str] | None = set()
        self._process = ""

    # The story

    def tell(self) -> None:
        """Carry the story out.

        Raises:
            Broken: a promise was broken. Anything else that is raised is a bug, too.
        """
        try:
            self._break_the_world()
            for _ in range(self.rng.randint(2, 8)):
                self._act()
                self._check_payments()
            self._calm()
            self._check_end()
        finally:
            self.machine.close()

    def _act(self) -> None:
        rng = self.rng
        actions: list[tuple[float, Callable[[], object]]] = [
            (8, self._run),
            (1, self._pilot),
            (3, self._reconcile),
            (4, self._wait),
            (2, self._edit),
            (1, self._reorder),
            (1, self._extend),
            (0.5, self._remove),
            (0.7, self._change_keys),
            (0.7, self._cancel),
            (0.5, self._lose),
            (0.7, self._restore),
            (1, self._fix_rows),
            (1, self._top_up),
            (1, self._break_the_world),
            (0.7, self._break_settings),
            (1, self._reissue),
            (0.5, self._reissue_what_is_not_dead),
            (0.2, self._set_clock),
        ]
        if not self._history:
            self._run()
            return
        if self.lost and self.keys == ORDINAL_KEYS:
            # Only the ledger knew which of a person's rows were sent, so they have to stay as they were.
            edits = {self._edit, self._reorder, self._extend, self._remove, self._fix_rows}
            actions = [(weight, action) for weight, action in actions if action not in edits]
        [action] = rng.choices([a for _, a in actions], [weight for weight, _ in actions])
        action()

    def _run(self, *, reopen: bool | None = None) -> None:
        again = self.rng.random() < 0.3 if reopen is None else reopen
        self._run_sheet(self.sheet, "run", reopen=again)

    def _pilot(self) -> None:
        count = self.rng.randint(1, len(self.sheet))
        self._run_sheet(self.sheet[:count], f"run --limit {count}", partial=True)

    def _run_sheet(self, rows: list[Row], label: str, *, partial: bool = False, reopen: bool = False) -> None:
        orders = self._orders(rows)

        def go() -> None:
            wait_s = self.rng.choice([0.0, 300.0, 300.0, 4000.0])
            self._allowed = {order.re_openid + str(order.total_amount) for order in orders}
            found = self.machine.run(orders, keys=self.keys, partial=partial, reopen=reopen, wait_s=wait_s)
            states = {state.value: rows for state, (rows, _) in found.totals.items()}
            self.say(
                f"    {states} halt={found.halt.reason if found.halt else None} needs={len(found.needs)}"
            )
            self._old_ids.clear()

        refused = self._in_process(label + (" --reopen" if reopen else ""), go)
        if isinstance(refused, PlanConflict | KeyChanged | SameListAgain):
            self._undo_edits()
        else:  # even if it crashed, it may have planned them
            self._history.append((self.keys, [replace(row) for row in self.sheet]))

    def _reconcile(self) -> None:
        self._in_process("reconcile", self.machine.reconcile)

    def _cancel(self) -> None:
        self._in_process("cancel", self.machine.cancel)

    def _in_process(self, label: str, work: Callable[[], object]) -> CampaignError | None:
        """One command in a process of its own; returns why it was refused."""
        self.say(f"{self._time()} {label}")
        self._process = label
        self._allowed = set()
        if self.machine._held:
            raise Broken("a lock outlived its process")
        try:
            work()
        except Crash as crash:
            self.say(f"    CRASH {crash}")
        except CampaignError as error:
            self.another_list = isinstance(error, SameListAgain)
            # Each telling has a folder of its own.
            told = str(error).replace(str(self.machine.path.parent), "…")
            self.say(f"    {type(error).__name__}: {told}")
            return error
        return None

    def _wait(self) -> None:
        seconds = self.rng.choice([30.0, 200.0, 1300.0, 3 * 3600.0, 26 * 3600.0, 50 * 3600.0, 80 * 3600.0])
        self.say(f"{self._time()} wait {seconds:.0f} s")
        self.machine.later(seconds * self.rng.uniform(0.5, 1.5))

    # What the operator does to the sheet

    def _add_row(self, at: int | None = None) -> bool:
        taken = {row.openid for row in self.sheet}
        free = [o for o in self.openids if o not in taken] if self.keys == "re_openid" else self.openids
        if not free:
            return False
        bad = self.rng.random() < 0.05
        openid = f"oWrong{self._uids:02d}" if bad else self.rng.choice(free)
        self._uids += 1
        row = Row(self._uids, f"N{self._uids:03d}", openid, self._new_fen(self._uids), bad=bad)
        self.sheet.insert(len(self.sheet) if at is None else at, row)
        return True

    def _new_fen(self, uid: int) -> int:
        fen = next(self._fen)
        self.row_of_fen[fen] = uid
        return fen

    def _edit(self) -> None:
        row = self.rng.choice(self.sheet)
        what = self.rng.choice(["amount", "wishing", "openid"])
        self.say(f"{self._time()} edit {what} of row {row.id}")
        match what:
            case "amount":
                row.fen = self._new_fen(row.uid)
            case "wishing":
                row.wishing = f"祝福{self.rng.randint(1, 99)}"
            case "openid":
                self._give(row, self.rng.choice(self.openids))

    def _give(self, row: Row, openid: str) -> None:
        """Another person for a row. Where the openid is the key, that is another row."""
        if self.keys == "re_openid" and any(other.openid == openid for other in self.sheet):
            return
        was_bad, row.openid, row.bad = row.bad, openid, False
        if self.keys != "id" and not was_bad:
            self._uids += 1
            row.uid = self._uids
            row.fen = self._new_fen(row.uid)

    def _reorder(self) -> None:
        self.say(f"{self._time()} re-order the sheet")
        self.rng.shuffle(self.sheet)

    def _extend(self) -> None:
        count = self.rng.randint(1, 3)
        self.say(f"{self._time()} add {count} rows")
        for _ in range(count):
            self._add_row(self.rng.choice([None, self.rng.randint(0, len(self.sheet))]))

    def _remove(self) -> None:
        if len(self.sheet) > 1:
            place = self.rng.randrange(len(self.sheet))
            row = self.sheet.pop(place)
            self.removed.append((place, row))
            self.say(f"{self._time()} remove row {row.id}")

    def _put_back(self) -> None:
        """What the program advises about a sheet that lacks rows of a finished campaign."""
        while self.removed:
            place, row = self.removed.pop()
            if all(row.openid != other.openid and row.id != other.id for other in self.sheet):
                self.say(f"{self._time()} put row {row.id} back")
                self.sheet.insert(min(place, len(self.sheet)), row)

    def _change_keys(self) -> None:
        """Ids that change under rows that were sent are caught by the ledger, so not when that is lost."""
        if self.keys != "id" or self.lost:
            return
        if self.rng.random() < 0.3:
            openids = [row.openid for row in self.sheet]
            keys = "re_openid" if len(set(openids)) == len(openids) else ORDINAL_KEYS
            self.say(f"{self._time()} remove the id column")
            self.keys = keys
            self._run()
            self.keys = "id"
            return
        row = self.rng.choice(self.sheet)
        self.say(f"{self._time()} change the id of row {row.id}")
        self._old_ids.setdefault(row.uid, row.id)
        row.id = f"X{row.id}"

    def _undo_edits(self) -> None:
        """Do as the message says: put the rows back as they were when they were sent."""
        everybody = {row.uid: row for _, rows in self._history for row in rows}
        for keys, before in [*reversed(self._history), (self._history[-1][0], list(everybody.values()))]:
            self.keys = keys
            if self._fits(before):
                self.sheet = [replace(row) for row in before]
                self._old_ids.clear()
                self.say("    the sheet is put back")
                return
        raise Broken("no sheet that was ever run fits the ledger")

    def _fits(self, rows: list[Row]) -> bool:
        facts = SheetFacts(file="lantern.xlsx", digest="", key_column=self.keys)
        try:
            with self.machine.look() as ledger:
                self.machine.draft(ledger, self._orders(rows), facts)
        except Conflict:
            return False
        return True

    def _orders(self, rows: list[Row]) -> list[PacketOrder]:
        seen: dict[str, int] = defaultdict(int)
        orders = []
        for number, row in enumerate(rows, start=2):
            seen[row.openid] += 1
            key = {"id": row.id, "re_openid": row.openid}.get(
                self.keys, repeat_key(row.openid, seen[row.openid])
            )
            orders.append(self._order(row, number, key))
        return orders

    @staticmethod
    def _order(row: Row, number: int, key: str, tie: Tie | None = None) -> PacketOrder:
        return PacketOrder(
            source=Source(file="lantern.xlsx", sheet="lantern", row=number),
            row_key=key,
            re_openid=row.openid,
            total_amount=row.fen,
            wishing=row.wishing or DEFAULTS.wishing,
            send_name=DEFAULTS.send_name,
            act_name=DEFAULTS.act_name,
            remark=DEFAULTS.remark,
            tie=tie,
        )

    def _fix_rows(self) -> None:
        for row in self.sheet:
            if row.bad and self._is_refused(row):
                self.say(f"{self._time()} correct the openid of row {row.id}")
                taken = {other.openid for other in self.sheet} | {gone.openid for _, gone in self.removed}
                free = [o for o in self.openids if o not in taken]
                if free or self.keys == "id":
                    self._give(row, self.rng.choice(free or self.openids))
                else:
                    self._give(row, f"oPerson{row.uid + 500}")

    def _is_refused(self, row: Row) -> bool:
        """Whether the program says that nothing can be paid under the row's number as it stands."""
        mine = [e for e in self.machine.entries().values() if e.re_openid == row.openid]
        return all(e.state is State.PLANNED or e.evidence is Evidence.UNSTORED for e in mine)

    # What the operator does to the ledger

    def _lose(self) -> None:
        self.say(f"{self._time()} THE LEDGER IS LOST")
        self.machine.disk.lose()
        self._rolled_back()

    def _restore(self) -> None:
        if self.machine.disk.copies:
            self.say(f"{self._time()} THE LEDGER IS RESTORED from an older copy")
            self.machine.disk.restore(self.rng.choice(self.machine.disk.copies))
            self._rolled_back()

    def _rolled_back(self) -> None:
        self.lost = True
        self.machine.wire.strict = False
        for row in self.sheet:  # an edit that only the lost ledger would have caught
            row.id = self._old_ids.pop(row.uid, row.id)
        if self.keys == ORDINAL_KEYS:
            self.sheet = [replace(row) for row in self._history[-1][1]]

    def _set_clock(self) -> None:
        self.machine.clock.error_s = self.rng.choice([-7200.0, -300.0, -5.0, 5.0, 300.0, 7200.0, 40_000.0])
        self.say(f"{self._time()} the machine's clock is set wrong by {self.machine.clock.error_s:.0f} s")
        self.machine.wire.strict = False
        self.clock_was_set = True

    def _reissue(self) -> None:
        """New numbers for rows that WeChat Pay itself calls failed."""
        with self.machine.look() as ledger:
            dead = self._latest(e for e in ledger.entries(self.machine.campaign))
        again = [e for e in dead if e.issue > 1 and e.state is State.PLANNED]
        self._run_tied([*again, *(e for e in dead if e.evidence is Evidence.DEAD)], "run the reissue sheet")

    def _reissue_what_is_not_dead(self) -> None:
        """A second number for a row that is not proven dead has to be refused."""
        if self.lost or self.keys == ORDINAL_KEYS:
            return
        with self.machine.look() as ledger:
            alive = self._latest(e for e in ledger.entries(self.machine.campaign))
        alive = [e for e in alive if e.evidence is not Evidence.DEAD and e.state is not State.REFUNDED]
        sheet = {order.row_key for order in self._orders(self.sheet)}
        alive = [e for e in alive if e.row_key in sheet and e.issue == 1]
        if not alive:
            return
        refused = self._run_tied(alive[:1], "run a sheet with a second number")
        if refused is None and self._process_ended_well:
            raise Broken("a second number was let through although the first is not dead")

    @staticmethod
    def _latest(entries: object) -> list[Entry]:
        """Of each row the entry with the highest issue number."""
        latest: dict[str, Entry] = {}
        for entry in entries:  # type: ignore[attr-defined]
            before = latest.get(entry.row_key)
            if before is None or before.issue < entry.issue:
                latest[entry.row_key] = entry
        return list(latest.values())

    def _run_tied(self, entries: list[Entry], label: str) -> CampaignError | None:
        orders = []
        for number, entry in enumerate(entries, start=2):
            uid, again = self.row_of_fen[entry.total_amount], entry.state is State.PLANNED and entry.issue > 1
            fen = entry.total_amount if again else self._new_fen(uid)
            row = Row(uid, "", entry.re_openid, fen, entry.parameters["wishing"])
            tie = Tie(campaign=entry.campaign, row_key=entry.row_key, issue=entry.issue + (not again))
            orders.append(self._order(row, number, entry.row_key, tie))
        if not orders:
            return None
        self._process_ended_well = False

        def go() -> None:
            self._allowed = {order.re_openid + str(order.total_amount) for order in orders}
            self.machine.run(orders, keys=self.keys, partial=True)
            self._process_ended_well = True

        return self._in_process(label, go)

    _process_ended_well = False

    # The world

    def _break_the_world(self) -> None:
        rng = self.rng
        faults: dict[str, object] = {}
        for kind in rng.sample(sorted(FAULTS), rng.choice([0, 1, 2, 4, 6])):
            share = FAULTS[kind] * rng.random()
            faults[kind] = {"share": share, "delay_s": rng.uniform(0, 20)} if kind == "slow" else share
        if rng.random() < 0.08:
            self.lied = True
            faults[rng.choice(LIES)] = {"share": 0.3, "attempts_max": 2, "endpoint": "gethbinfo"}
        self.say(f"{self._time()} faults {sorted(faults)}")
        self.machine.faults(openid_error=self._wrong_openids(), **faults)

    @staticmethod
    def _wrong_openids() -> dict[str, object]:
        return {"openids": [f"oWrong{n:02d}" for n in range(400)]}

    def _break_settings(self) -> None:
        if self.rng.random() < 0.5:
            self.say(f"{self._time()} a wrong key in the settings")
            self.machine.api_key = "0" * 32
        else:
            self.say(f"{self._time()} a wrong appid in the settings")
            self.machine.sender = replace(SENDER, wxappid="wx9999999999999999")
        self._run()
        if self.rng.random() < 0.7:
            self._fix_settings()

    def _fix_settings(self) -> None:
        self.machine.api_key = API_KEY
        self.machine.sender = SENDER

    def _top_up(self) -> None:
        fen = self.rng.randint(1, 50_000)
        self.say(f"{self._time()} top up {fen}")
        self.machine.top_up(fen)

    def _point(self, step: str) -> None:
        """A step that touches disk or network: the process may die here, or another one do its work."""
        self.steps += 1
        rng = self.rng
        if self.calm:
            return
        if self.crash_share and rng.random() < self.crash_share:
            raise Crash(f"{step} ({self.steps})")
        # Not before the request: between the pace and the wire nothing may take time.
        beside = not self._beside and self.beside_share and step == "after the request"
        if beside and rng.random() < self.beside_share:
            self._work_beside()

    def _work_beside(self) -> None:
        """Another process of this operator, while the first one is in the middle of a request."""
        self._beside = True
        allowed = self._allowed
        try:
            what = self.rng.choice(["reconcile", "run", "cancel"])
            self.say(f"    beside: {what}")
            if what == "reconcile":
                sent = len(self.machine.wire.letters)
                held = bool(self.machine._held)
                self.machine.reconcile()
                if held and len(self.machine.wire.letters) > sent:
                    raise Broken("a reconcile beside a run repeated a send")
            elif self.machine._held:
                try:
                    self.machine.run(self._orders(self.sheet), keys=self.keys) if what == "run" else (
                        self.machine.cancel()
                    )
                except CampaignHeld:
                    return
                raise Broken(f"a second {what} at the same time")
        except (Crash, CampaignError) as error:
            self.say(f"    beside: {type(error).__name__} {error}")
        finally:
            self._beside = False
            self._allowed = allowed

    def _before_send(self, number: str) -> None:
        machine = self.machine
        machine._recorded(number)
        assert machine._open is not None
        [[in_doubt_fen]] = machine._open._db.execute(
            "SELECT sum(total_amount) FROM entry WHERE state = 'in_doubt'"
        ).fetchall()
        if in_doubt_fen > machine.limits.in_doubt_fen and not self.lost:
            raise Broken(f"{in_doubt_fen} fen in doubt, {machine.limits.in_doubt_fen} allowed")
        entry = machine._open.entry(number)
        assert entry is not None
        agreed = self._allowed is None or entry.re_openid + str(entry.total_amount) in self._allowed
        if entry.attempt == 1 and not agreed and not self.lost:
            raise Broken(f"{self._process}: sends {number} for the first time, which its sheet does not have")

    # Calm

    def _calm(self) -> None:
        """Everything works again, the operator does what the program said, and some days pass."""
        self.say(f"{self._time()} CALM")
        self.calm = True
        machine = self.machine
        machine.clock.error_s = 0.0
        machine.wire.late_share = machine.wire.latency_s = 0.0
        machine.disk.full_share = 0.0
        machine.faults(openid_error=self._wrong_openids())
        self._fix_settings()
        machine.top_up(20_000_000)
        self.budget_fen = max(self.budget_fen, 10_000_000)
        machine.limits = replace(machine.limits, campaign_fen=10_000_000, in_doubt_fen=10_000_000)
        before, quiet = None, 0
        for turn in range(60):
            if self.another_list:
                self._put_back()
            self._fix_rows()
            self._run(reopen=True)
            machine.later(400.0 if turn < 1 else 1300.0 if turn < 2 else 26 * 3600.0)
            self._reconcile()
            self._reissue()
            entries = machine.entries().values()
            now = {(e.mch_billno, e.state, e.flag) for e in entries}
            quiet = quiet + 1 if now == before and turn > 1 else 0
            before = now
            settled = all(e.state in SETTLED and not self._unsettled(e) for e in entries)
            if (turn > 1 and settled) or quiet > 4:
                return

    def _unsettled(self, entry: Entry) -> bool:
        """Rejected, but for a cause that the operator removes, so that the next command takes it up."""
        return entry.state is State.REJECTED and not self._has_successor(entry)

    def _has_successor(self, entry: Entry) -> bool:
        return any(
            e.row_key == entry.row_key and e.issue > entry.issue for e in self.machine.entries().values()
        )

    # What must hold

    def _check_payments(self) -> None:
        """Each row at most once, whatever happened."""
        paid: dict[int, list[Order]] = defaultdict(list)
        for order in self.machine.paid().values():
            paid[self.row_of_fen[order.total_amount]].append(order)
        for uid, orders in paid.items():
            if len(orders) > 1:
                raise Broken(f"row {uid} was paid {len(orders)} times: {[o.mch_billno for o in orders]}")
        spent = sum(order.total_amount for orders in paid.values() for order in orders)
        if spent > self.budget_fen and not self.lost:
            raise Broken(f"{spent} fen were spent, {self.budget_fen} allowed")

    def _check_end(self) -> None:
        self._check_payments()
        entries = self.machine.entries()
        gateway = self.machine.orders_at_gateway()
        if unknown := gateway.keys() - entries.keys():
            wanted = {row.fen for row in self.sheet}
            if not self.lost or any(gateway[n].total_amount in wanted for n in unknown):
                raise Broken(f"orders that the ledger does not know: {unknown}")
        for entry in entries.values():
            self._check_entry(entry, gateway.get(entry.mch_billno))
        self._check_rows(entries, gateway)
        self._check_days()
        with self.machine.look() as ledger:
            if broken := list(ledger.broken_events()):
                raise Broken(f"the event chain is broken at {broken}")
            if unexplained := list(ledger.unexplained()):
                raise Broken(f"states that no event explains: {unexplained}")
            totals = ledger.totals(self.machine.campaign)
        for state in State:
            of_state = [e.total_amount for e in entries.values() if e.state is state]
            if totals.get(state, (0, 0)) != (len(of_state), sum(of_state)):
                raise Broken(f"the totals of {state} do not add up")

    def _check_entry(self, entry: Entry, order: Order | None) -> None:
        """The ledger's word on one number is the gateway's, and it has a verdict with evidence."""
        where = f"{entry.mch_billno} ({entry.re_openid} {entry.total_amount}) is {entry.state}"
        if not str(evidence(entry)):
            raise Broken(f"{where} without evidence")
        if entry.flag is not None and entry.flag is not Flag.STUCK:
            if not (self.lied or self.lost):
                raise Broken(f"{where} and flagged {entry.flag}")
            return
        if order is None:
            never = entry.state in (State.PLANNED, State.CANCELLED) or entry.evidence is Evidence.UNSTORED
            if not never and not self._given_up(entry):
                raise Broken(f"{where}, and WeChat Pay has no such order")
            return
        if self.lost and entry.state in (State.PLANNED, State.CANCELLED):
            return  # an older copy, and since then no sheet that has the row: nobody was to ask about it
        if self.lost and order.re_openid != entry.re_openid:
            return  # edited since the copy was made; gethbinfo does not say to whom an order is
        if (order.re_openid, order.total_amount) != (entry.re_openid, entry.total_amount):
            raise Broken(f"{where}, but the order is {order.re_openid} {order.total_amount}")
        status = order.status(self.machine.clock.true_s())
        if order.paid_s is None:
            right = (
                entry.evidence is Evidence.DEAD
                if status == "FAILED"
                else entry.state in (State.PARKED, State.ACCEPTED, State.IN_DOUBT)
            )
        else:
            right = entry.state in _PAID_STATES[status]
        if not right and not self._given_up(entry):
            raise Broken(f"{where} {entry.evidence}, but WeChat Pay says {status} (paid: {order.paid_s})")
        if order.paid_s is not None and verdict(entry) in (Verdict.NEVER_SENT, Verdict.DEAD):
            raise Broken(f"{where}: {verdict(entry)}, but it was paid")

    def _given_up(self, entry: Entry) -> bool:
        """A person has to look: everything that the program may try was tried."""
        if entry.state not in (State.IN_DOUBT, State.PARKED):
            return False
        tried = entry.tally.attempts - entry.tally.not_sent
        first_s = entry.first_sent_at_s
        old = first_s is not None and self.machine.clock.true_s() - first_s > 72 * 3600
        return (tried >= self.machine.policy.attempts_max or old) and self._needs_person(entry)

    def _needs_person(self, entry: Entry) -> bool:
        with self.machine.look() as ledger:
            needs = ledger.needs_person(self.machine.campaign, self.machine.clock.now_s())
            return any(e.mch_billno == entry.mch_billno for e in needs)

    def _check_rows(self, entries: dict[str, Entry], gateway: dict[str, Order]) -> None:
        """Every row of the sheet was paid exactly once, unless a person has to look at it."""
        paid = {self.row_of_fen[o.total_amount] for o in gateway.values() if o.paid_s is not None}
        by_uid = defaultdict(list)
        for entry in entries.values():
            by_uid[self.row_of_fen[entry.total_amount]].append(entry)
        for row in self.sheet:
            mine = by_uid[row.uid]
            if not mine:
                raise Broken(f"row {row} has no entry")
            excused = any(self._given_up(e) for e in mine) or any(
                e.flag in (Flag.MISMATCH, Flag.CONTRADICTION) for e in mine
            )
            if row.uid not in paid and not excused:
                raise Broken(f"row {row} was not paid: {[(e.mch_billno, e.state, e.evidence) for e in mine]}")

    def _check_days(self) -> None:
        """The caps of each Beijing day, counted on the days on which requests left."""
        if self.lost or self.clock_was_set:
            return
        limits = self.machine.limits
        day_fen: dict[str, int] = defaultdict(int)
        people: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, order in self.machine.paid().items():
            for day in self.machine.wire.days_of(number, order.stored_s):
                day_fen[day] += order.total_amount
                people[day, order.re_openid].append(order.total_amount)
        for day, fen in day_fen.items():
            if fen > limits.merchant_day_fen:
                raise Broken(f"{fen} fen on {day}, {limits.merchant_day_fen} allowed")
        for (day, openid), amounts in people.items():
            if len(amounts) > limits.person_day_packets or sum(amounts) > limits.person_day_fen:
                raise Broken(f"{openid} got {amounts} on {day}")

    def _time(self) -> str:
        days, rest = divmod(self.machine.clock.true_s() - START_S, DAY_S)
        return f"[day {days:.0f} {rest / 3600:05.2f}h]"
