"""One seed, one story: an operator, lists, a gateway that breaks, a machine that dies, and then calm.

The seed decides everything. `Story.tell` carries the story out and raises `Broken` when a promise of the
program was broken; with ``say`` it tells every step, and ``did`` counts what came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, NamedTuple

from campaign.domain.billno import Tie
from campaign.domain.decision import Policy
from campaign.domain.entry import Entry
from campaign.domain.limits import Limits
from campaign.domain.order import PacketOrder
from campaign.domain.plan import ORDINAL_KEYS
from campaign.domain.state import SETTLED, Evidence, State
from campaign.errors import CampaignError, CampaignHeld, Conflict, KeyChanged, PlanConflict, SameListAgain
from campaign.ledger import file
from campaign.rehearsal.rules import RehearsalMerchant
from tests.simulation.machine import API_KEY, DAY_S, MCH_ID, SENDER, START_S, WXAPPID, Machine
from tests.simulation.parts import Broken, Crash, VirtualClock
from tests.simulation.paylist import PayList, Row
from tests.simulation.promises import Promises

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

#: Openids of another account, as `Story._add_row` makes them.
_OTHER_ACCOUNTS: Final = [f"oWrong{n:02d}" for n in range(400)]
#: Until then a copied list is compared; after 30 days it may be paid again.
_COMPARED_DAYS: Final = 25


#: Of an entry's last attempt: whether an earlier number of its row had been contradicted when it was begun;
#: and what counts against the campaign's budget, in fen, if nothing was contradicted since.
_BEGUN: Final = """
    WITH this AS (SELECT entry.*, begun_event FROM entry JOIN attempt ON attempt.entry = seq AND n = attempts
                  WHERE mch_billno = ?),
        contradicted AS (SELECT event.seq AS at, entry.* FROM event JOIN entry ON entry.seq = event.entry
                         WHERE kind = 'flagged' AND entry.campaign = (SELECT campaign FROM this))
    SELECT EXISTS (SELECT 1 FROM contradicted AS earlier JOIN this USING (row_key)
                   WHERE earlier.issue < this.issue AND at < begun_event),
        (SELECT sum(entry.total_amount) FROM entry JOIN this USING (campaign)
         WHERE (entry.state NOT IN ('planned', 'cancelled', 'rejected') OR entry.flag NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM contradicted WHERE at > begun_event))
"""


class Outline(NamedTuple):
    """An entry in short, as the ledger's file has it."""

    mch_billno: str
    campaign: int
    row_key: str
    issue: int
    state: str
    evidence: str | None
    flag: str | None


@dataclass
class Story:
    """See the module."""

    seed: int
    say: Callable[[str], None] = lambda _: None
    calm: bool = False
    steps: int = 0
    #: How often each deed of the operator and each mishap came about.
    did: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        rng = self.rng = Random(self.seed)
        self._uids = 0
        first = rng.randrange(19_900)
        # 7,919 is a prime that does not divide 19,900: all amounts from 1 to 199.99 yuan, each once.
        self._fen = (100 + (first + 7_919 * n) % 19_900 for n in range(19_900))
        #: amount -> the row that it was ever asked for, and row -> its list
        self.row_of_fen: dict[int, int] = {}
        self.list_of: dict[int, PayList] = {}
        self.openids = [f"oPerson{n:02d}" for n in range(rng.choice([3, 8, 20, 60]))]
        self.lists: list[PayList] = []
        total = sum(row.fen for row in self._begin_list("lantern", place=0).rows)
        largest = 20_000
        self.crash_share = rng.choice([0.0, 0.005, 0.02, 0.05])
        self.beside_share = rng.choice([0.0, 0.0, 0.05])
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
        # What these decide changes no story in which it does not come about.
        late = self._late = Random(f"{self.seed}, later")
        self._takes_back = late.random() < 0.5
        #: The numbers of packets that were paid after WeChat Pay had called them FAILED.
        self.taken_back: set[str] = set()
        meanwhile = late if late.random() < 0.5 else None
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
            meanwhile=meanwhile,
        )
        self.machine.wire.before_send = self._before_send
        self.machine.wire.latency_s = rng.choice([0.0, 0.0, 0.2, 3.0])
        self.machine.wire.late_share = rng.choice([0.0, 0.0, 0.1])
        full_share = rng.choice([0.0, 0.0, 0.01])
        for disk in self.machine.disks:
            disk.full_share, disk.copy_share = full_share, 0.05
        self.promises = Promises(self)
        self._faults: dict[str, object] = {}
        self._certificate_refused = False
        self._beside = False
        self._allowed: set[str] | None = set()
        self._process = ""
        self._ended_well = False

    @property
    def list(self) -> PayList:
        """The list that the operator has on the desk."""
        return self._list

    def take(self, chosen: PayList) -> None:
        """Put a list on the desk, with the settings beside it."""
        self._list = chosen
        self.machine.campaign, self.machine.place = chosen.name, chosen.place

    # The story

    def tell(self) -> None:
        """Carry the story out.

        Raises:
            Broken: a promise was broken. Anything else that is raised is a bug, too.
        """
        try:
            self.take(self.lists[0])
            self._break_the_world()
            for _ in range(self.rng.randint(2, 8)):
                self._act()
                if self._takes_back:
                    self._doubt_the_dead()
                self.promises.check_payments()
            self._calm()
            self.promises.check_end()
        finally:
            self.did["a request arrives late"] += self.machine.wire.late
            self.did["the disk is full"] += sum(disk.was_full for disk in self.machine.disks)
            self.machine.close()

    def _act(self) -> None:
        rng = self.rng
        if not self.lists[0].history:
            self._run() if rng.random() > 0.05 else self._withdraw_and_copy()
            return
        if len(self.lists) == 1 and rng.random() < 0.1:
            self._second_list()
            return
        self.take(rng.choice(self.lists))
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
            (0.7, self._rename),
            (1, self._copy),
            (3 * bool(self.list.former), self._run_as_before),
            (0.15, self._run_elsewhere),
            (0.7, self._cancel),
            (0.5, self._lose),
            (0.7, self._restore),
            (1, self._fix_rows),
            (0.8, self._fix_in_two_sheets),
            (1, self._top_up),
            (1, self._break_the_world),
            (0.7, self._break_settings),
            (1, self._reissue),
            (0.5, self._reissue_what_is_not_dead),
            (0.2, self._set_clock),
        ]
        if self.lost and self.list.keys == ORDINAL_KEYS:
            # Only the ledger knew which of a person's rows were sent, so they have to stay as they were.
            edits = {self._edit, self._reorder, self._extend, self._remove, self._fix_rows}
            actions = [(weight, action) for weight, action in actions if action not in edits]
        if not self.list.history:
            actions = [(1, self._run), (1, self._wait)]
        [action] = rng.choices([a for _, a in actions], [weight for weight, _ in actions])
        action()

    # Running

    def _run(self, *, reopen: bool | None = None) -> CampaignError | None:
        again = self.rng.random() < 0.3 if reopen is None else reopen
        self.did["run again" if self.list.history else "run"] += 1
        return self._run_sheet(self.list.rows, "run", reopen=again)

    def _pilot(self) -> None:
        count = self.rng.randint(1, len(self.list.rows))
        self.did["run --limit"] += 1
        self._run_sheet(self.list.rows[:count], f"run --limit {count}", partial=True)

    def _run_sheet(
        self, rows: list[Row], label: str, *, partial: bool = False, reopen: bool = False
    ) -> CampaignError | None:
        """Run the list's sheet; refused, the operator does as the message says."""
        refused = self._run_orders(self.list.orders(rows), label, partial=partial, reopen=reopen)
        if refused is None or not isinstance(refused, Conflict):
            self.list.remember()  # even if it crashed, it may have planned them
        elif isinstance(refused, PlanConflict | KeyChanged | SameListAgain):
            self._undo_edits()
        return refused

    def _run_orders(
        self, orders: Sequence[PacketOrder], label: str, *, partial: bool = False, reopen: bool = False
    ) -> CampaignError | None:
        """One `campaign run`, and again with ``--new-ledger`` where it needs that."""
        chosen, machine = self.list, self.machine
        others = machine.registry.standing(machine.path).others
        second = bool(others) and not file.exists(machine.path)
        agreed = second and (self.calm or self.rng.random() < 0.5)

        def go() -> None:
            wait_s = self.rng.choice([0.0, 300.0, 300.0, 4000.0])
            self._allowed = {order.re_openid + str(order.total_amount) for order in orders}
            found = machine.run(
                orders,
                keys=chosen.keys,
                partial=partial,
                reopen=reopen,
                wait_s=wait_s,
                new_ledger=agreed,
                also_pays=chosen.also_pays,
                file=f"{chosen.file or chosen.name}.xlsx",
                digest=_digest(orders),
            )
            states = {state.value: rows for state, (rows, _) in found.totals.items()}
            self.say(
                f"    {states} halt={found.halt.reason if found.halt else None} needs={len(found.needs)}"
            )
            shown = {order.row_key for order in orders if order.tie is None}
            for row in chosen.rows:
                if row.id in shown:  # under an id that the ledger has agreed to
                    chosen.old_ids.pop(row.uid, None)
            chosen.finished = not partial and not found.halt and not found.needs
            self._ended_well = True

        chosen.finished = False
        label += f" as {chosen.name}" + " --reopen" * reopen + " --new-ledger" * agreed
        refused = self._in_process(label, go)
        if second and agreed:
            self.did["a second ledger, --new-ledger"] += 1
        elif second:
            self.did["a second ledger is refused"] += isinstance(refused, Conflict)
            if self._ended_well:
                raise Broken("a second ledger was begun, and nobody wanted it")
        chosen.another_list = isinstance(refused, SameListAgain)
        if reopen and self._ended_well and chosen.cancelled:
            chosen.cancelled = False
            self.did["run --reopen"] += 1
        return refused

    def _reconcile(self) -> None:
        self.did["reconcile"] += 1
        self._in_process("reconcile", self.machine.reconcile)

    def _cancel(self) -> None:
        self.did["cancel"] += 1
        self.list.cancelled = True
        self._in_process("cancel", self.machine.cancel)

    def _in_process(self, label: str, work: Callable[[], object]) -> CampaignError | None:
        """One command in a process of its own; returns why it was refused."""
        self.say(f"{self._time()} {label}")
        self._process = label
        self._allowed = set()
        self._ended_well = False
        if self.machine._held and not self._beside:
            raise Broken("a lock outlived its process")
        try:
            work()
        except Crash as crash:
            self.say(f"    CRASH {crash}")
        except CampaignError as error:
            # Each telling has a folder of its own.
            told = str(error).replace(str(self.machine.path.parent), "…")
            self.say(f"    {type(error).__name__}: {told}")
            self.did[f"refused: {type(error).__name__}"] += 1
            return error
        return None

    def _wait(self) -> None:
        seconds = self.rng.choice([30.0, 200.0, 1300.0, 3 * 3600.0, 26 * 3600.0, 50 * 3600.0, 80 * 3600.0])
        self.say(f"{self._time()} wait {seconds:.0f} s")
        self.did["wait"] += 1
        self.machine.later(seconds * self.rng.uniform(0.5, 1.5))

    # What the operator does to the sheet

    def _begin_list(self, name: str, *, place: int) -> PayList:
        rng = self.rng
        self._list = PayList(name, rng.choice(["re_openid", "id", "id", ORDINAL_KEYS]), place)
        rows = 40 if rng.random() < 0.04 else rng.randint(1, 12)
        while len(self._list.rows) < rows and self._add_row():
            pass
        self.lists.append(self._list)
        return self._list

    def _second_list(self) -> None:
        """Another campaign for some of the same people, in this ledger or with one of its own."""
        place = self.rng.choice([0, 1])
        self.take(self._begin_list("moon", place=place))
        self.did["a second campaign"] += 1
        self._run()

    def _new_uid(self) -> int:
        self._uids += 1
        self.list_of[self._uids] = self.list
        return self._uids

    def _add_row(self, at: int | None = None) -> bool:
        rows = self.list.rows
        taken = {row.openid for row in rows}
        free = [o for o in self.openids if o not in taken] if self.list.keys == "re_openid" else self.openids
        if not free:
            return False
        bad = self.rng.random() < 0.05
        openid = f"oWrong{self._uids:02d}" if bad else self.rng.choice(free)
        uid = self._new_uid()
        row = Row(uid, f"N{uid:03d}", openid, self._new_fen(uid), bad=bad)
        rows.insert(len(rows) if at is None else at, row)
        return True

    def _new_fen(self, uid: int) -> int:
        fen = next(self._fen)
        self.row_of_fen[fen] = uid
        return fen

    def _edit(self) -> None:
        row = self.rng.choice(self.list.rows)
        what = self.rng.choice(["amount", "wishing", "openid"])
        self.say(f"{self._time()} edit {what} of row {row.id}")
        self.did[f"edit {what}"] += 1
        match what:
            case "amount":
                row.fen = self._new_fen(row.uid)
            case "wishing":
                row.wishing = f"祝福{self.rng.randint(1, 99)}"
            case "openid":
                self._give(row, self.rng.choice(self.openids))

    def _give(self, row: Row, openid: str) -> None:
        """Another person for a row. Where the openid is the key, that is another row."""
        if self.list.keys == "re_openid" and any(other.openid == openid for other in self.list.rows):
            return
        was_bad, row.openid, row.bad = row.bad, openid, False
        if self.list.keys != "id" and not was_bad:
            row.uid = self._new_uid()
            row.fen = self._new_fen(row.uid)

    def _reorder(self) -> None:
        self.say(f"{self._time()} re-order the sheet")
        self.did["re-order"] += 1
        self.rng.shuffle(self.list.rows)

    def _extend(self) -> None:
        count = self.rng.randint(1, 3)
        self.say(f"{self._time()} add {count} rows")
        self.did["extend"] += 1
        for _ in range(count):
            self._add_row(self.rng.choice([None, self.rng.randint(0, len(self.list.rows))]))

    def _remove(self) -> None:
        rows = self.list.rows
        if len(rows) > 1:
            place = self.rng.randrange(len(rows))
            row = rows.pop(place)
            self.list.removed.append((place, row))
            self.say(f"{self._time()} remove row {row.id}")
            self.did["remove"] += 1

    def _put_back(self) -> None:
        """What the program advises about a sheet that lacks rows of a finished campaign."""
        rows = self.list.rows
        while self.list.removed:
            place, row = self.list.removed.pop()
            if all(row.openid != other.openid and row.id != other.id for other in rows):
                self.say(f"{self._time()} put row {row.id} back")
                self.did["put back"] += 1
                rows.insert(min(place, len(rows)), row)

    def _change_keys(self) -> None:
        """Ids that change under rows that were sent are caught by the ledger, so not when that is lost."""
        if self.list.keys != "id" or self.lost:
            return
        if self.rng.random() < 0.5:
            openids = [row.openid for row in self.list.rows]
            keys = "re_openid" if len(set(openids)) == len(openids) else ORDINAL_KEYS
            self.say(f"{self._time()} remove the id column")
            self.did["remove the id column"] += 1
            self.list.keys = keys
            self._run()
            self.list.keys = "id"
            return
        row = self.rng.choice(self.list.rows)
        self.say(f"{self._time()} change the id of row {row.id}")
        self.did["change an id"] += 1
        self.list.old_ids.setdefault(row.uid, row.id)
        row.id = f"X{row.id}"

    def _undo_edits(self) -> None:
        """Do as the message says: put the rows back as they were when they were sent."""
        history = self.list.history
        if not history:
            return
        everybody = {row.uid: row for _, rows in history for row in rows}
        for keys, before in [*reversed(history), (history[-1][0], list(everybody.values()))]:
            self.list.keys = keys
            if self._fits(before):
                self.list.rows = [replace(row) for row in before]
                self.list.old_ids.clear()
                self.say("    the sheet is put back")
                self.did["undo"] += 1
                return
        if not self._leave_other_names():
            raise Broken("no sheet that was ever run fits the ledger")

    def _fits(self, rows: list[Row]) -> bool:
        chosen = self.list
        return self.machine.fits(chosen.orders(rows), keys=chosen.keys, also_pays=chosen.also_pays)

    def _fix_rows(self) -> None:
        for row in self.list.rows:
            if row.bad and self._is_refused(row):
                self.say(f"{self._time()} correct the openid of row {row.id}")
                self.did["correct a refused row"] += 1
                taken = {other.openid for other in self.list.rows}
                taken |= {gone.openid for _, gone in self.list.removed}
                free = [o for o in self.openids if o not in taken]
                if free or self.list.keys == "id":
                    self._give(row, self.rng.choice(free or self.openids))
                else:
                    self._give(row, f"oPerson{row.uid + 500}")

    def _is_refused(self, row: Row) -> bool:
        """Whether the program says that nothing can be paid under the row's number as it stands."""
        mine = [e for e in self.machine.entries().values() if e.re_openid == row.openid]
        return all(e.state is State.PLANNED or e.evidence is Evidence.UNSTORED for e in mine)

    def _fix_in_two_sheets(self) -> None:
        """A row is corrected in the fix sheet and in the original, and both are run, in either order."""
        chosen = self.list
        if not chosen.history or (self.lost and chosen.keys == ORDINAL_KEYS):
            return
        keys = {order.row_key: row for order, row in zip(chosen.orders(), chosen.rows, strict=True)}
        open_rows = [
            (entry, keys[entry.row_key])
            for entry in self.machine.entries().values()
            if entry.issue == 1
            and entry.row_key in keys
            and keys[entry.row_key].openid == entry.re_openid
            and (entry.state is State.PLANNED or entry.evidence is Evidence.UNSTORED)
        ]
        if not open_rows:
            return
        entry, row = self.rng.choice(open_rows)
        if row.bad and chosen.keys == "id":
            self._give(row, self.rng.choice(self.openids))
        elif row.bad:
            return  # its number comes from the wrong cell, so no fix sheet has it
        row.fen = self._new_fen(row.uid)
        tie = Tie(campaign=entry.campaign, row_key=entry.row_key, issue=1)
        fixed = [chosen.order(row, 2, entry.row_key, tie)]
        fix_first = self.rng.random() < 0.5
        self.did["fix sheet, then original" if fix_first else "original, then fix sheet"] += 1
        for fixing in (fix_first, not fix_first):
            if fixing:
                self._run_orders(fixed, "run the fix sheet", partial=True)
                # Whoever has to take back other edits of the original keeps this correction in it.
                last_keys, before = chosen.history[-1]
                corrected = [replace(row) if old.uid == row.uid else old for old in before]
                chosen.history.append((last_keys, corrected))
            elif isinstance(self._run(), Conflict):
                return  # and the correction is taken back
            if fixing is fix_first and self.rng.random() < 0.5:
                self.did["the ledger is lost between fix sheet and original"] += 1
                self._lose()

    def _rename(self) -> None:
        """The sheet's file has another name; ``--name`` keeps it in its campaign."""
        self.list.file = f"{self.list.name} v{self.rng.randint(2, 99)}"
        self.say(f"{self._time()} rename the sheet to {self.list.file}")
        self.did["rename the sheet, with --name"] += 1
        self._run()

    def _copy(self) -> None:
        """The sheet is copied, perhaps edited, and run under its new name as if it were another list."""
        chosen, machine = self.list, self.machine
        if not chosen.history or machine.clock.true_s() - START_S > _COMPARED_DAYS * DAY_S:
            return
        chosen.keys, rows = chosen.history[-1][0], [replace(row) for row in chosen.history[-1][1]]
        there = file.exists(machine.path)
        known = {(e.re_openid, e.total_amount): e for e in machine.entries().values()} if there else {}
        alive = {pair for pair, e in known.items() if e.state not in (State.REJECTED, State.CANCELLED)}
        met = [row for row in rows if (row.openid, row.fen) in alive | chosen.sent_before_loss]
        never = all(e.state in (State.REJECTED, State.CANCELLED) for e in known.values())
        if not met and not (there and never and not self.lost):
            return  # edited beyond recognition, or nobody can know
        edited = len(met) > 1 and self.rng.random() < 0.5
        if edited:
            met[0].fen = self._new_fen(met[0].uid)
        before, lists = (
            chosen.name,
            replace(chosen, name=f"{chosen.name}+{len(chosen.former) + 1}", file="", rows=rows),
        )
        self.did[
            "copy and edit the sheet, without --name" if edited else "rename the sheet, without --name"
        ] += 1
        self._list, machine.campaign = lists, lists.name
        orders = lists.orders()
        refused = self._run_orders(orders, "run the copy")
        planned = file.exists(machine.path) and bool(machine.entries())  # also if it stopped later
        if planned and met:
            raise Broken(f"the list {before} was let through as {lists.name}")
        if planned:
            chosen.former.append(before)
            chosen.withdrawn.add(before)
            chosen.name, chosen.rows, chosen.file = lists.name, rows, ""
            chosen.remember()
            self.did["a copy takes the place of a list that was withdrawn"] += 1
        elif isinstance(refused, SameListAgain):
            self.did["a copy is refused"] += 1
        self.take(chosen)

    def _withdraw_and_copy(self) -> None:
        """A change of mind before anything is sent: stopped, withdrawn, and run under another name."""
        self.did["stop a run before it sends"] += 1
        self.machine.stop_asked = True
        self._run()
        self.machine.stop_asked = False
        if self.list.history:
            self._cancel()
            self._copy()

    def _run_as_before(self) -> None:
        """The list once more under a name that it had before its copy took its place."""
        chosen = self.list
        if not chosen.former:
            return
        self.did["run under a former name"] += 1
        name = chosen.name
        chosen.name = self.machine.campaign = chosen.former[-1]
        refused = self._run_orders(chosen.orders(), "run", reopen=self.rng.random() < 0.7)
        if refused is None:
            chosen.withdrawn.clear()  # it may have paid; a run that was refused has not
        if self._ended_well:
            chosen.former[-1] = name
            chosen.remember()
        else:
            chosen.name = name
            self.did["a former name is refused"] += isinstance(refused, SameListAgain)
        self.take(chosen)

    def _leave_other_names(self) -> bool:
        """Withdraw what the list's other names still plan, and say which of them never paid anybody."""
        self.list.also_pays = tuple(sorted(self.list.withdrawn))
        for name in self.list.former:
            self.machine.campaign = name
            self._cancel()
        self.machine.campaign = self.list.name
        return bool(self.list.former)

    def _run_elsewhere(self) -> None:
        """The same list with the settings of another ledger, which knows nothing of it."""
        self.did["run the list with the other ledger"] += 1
        self._less_is_known()
        self.machine.place = 1 - self.list.place
        self._run_orders(self.list.orders(), "run elsewhere")
        self.take(self.list)

    # What the operator does to the ledger

    def _lose(self) -> None:
        self.say(f"{self._time()} THE LEDGER IS LOST")
        self.did["lose the ledger"] += 1
        self._rolled_back(self.machine.disk.lose)

    def _restore(self) -> None:
        if copies := self.machine.disk.copies:
            self.say(f"{self._time()} THE LEDGER IS RESTORED from an older copy")
            self.did["restore the ledger"] += 1
            copy = self.rng.choice(copies)
            self._rolled_back(lambda: self.machine.disk.restore(copy))

    def _rolled_back(self, happens: Callable[[], None]) -> None:
        here = [each for each in self.lists if each.place == self.machine.place]
        if file.exists(self.machine.path):
            for each in here:
                sent = (e for e in self.machine.entries(each.name).values() if e.attempt)
                each.sent_before_loss |= {
                    (e.re_openid, e.total_amount) for e in sent if e.state is not State.REJECTED
                }
        happens()
        self._less_is_known()
        for each in here:
            for row in each.rows:  # an edit that only the lost ledger would have caught
                row.id = each.old_ids.pop(row.uid, row.id)
            if each.keys == ORDINAL_KEYS and each.history:
                each.rows = [replace(row) for row in each.history[-1][1]]

    def _less_is_known(self) -> None:
        self.lost = True
        self.machine.wire.strict = False

    def _set_clock(self) -> None:
        self.machine.clock.error_s = self.rng.choice([-7200.0, -300.0, -5.0, 5.0, 300.0, 7200.0, 40_000.0])
        self.say(f"{self._time()} the machine's clock is set wrong by {self.machine.clock.error_s:.0f} s")
        self.did["set the clock"] += 1
        self.machine.wire.strict = False
        self.clock_was_set = True

    # Second numbers

    def _reissue(self, *, waits: bool = False) -> None:
        """`campaign reissue`, and its sheet, perhaps later: rows that WeChat Pay itself calls failed.

        Args:
            waits: the run of the sheet is stopped before anything is sent.
        """
        chosen, machine, late = self.list, self.machine, self._late
        latest = self._latest()
        found: list[Entry] = []

        def ask() -> None:
            found.extend(machine.reissue().rows)

        if any(e.evidence is Evidence.DEAD for e in latest):
            self.did["reissue"] += 1
            self._in_process("reissue", ask)
        rows = {e.row_key for e in found}  # those that wait under their second number are written again
        if self.calm or late.random() < 0.5:  # a sheet with contradicted rows is refused
            rows |= {e.row_key for e in machine.entries().values() if e.flag}
        open_again = (e for e in latest if e.state is State.PLANNED or e.evidence is Evidence.UNSTORED)
        again = [e for e in open_again if e.issue > 1 and e.row_key not in rows]
        orders = [self._tied(e, number, new=e in found) for number, e in enumerate([*again, *found], start=2)]
        if orders:
            self.did["run the reissue sheet"] += 1
            machine.stop_asked = waits
            self.did["a second number is planned, and waits"] += waits
            self._run_orders(orders, "run the reissue sheet", partial=True)
            machine.stop_asked = False
        chosen.another_list = False

    def _reissue_what_is_not_dead(self) -> None:
        """A second number for a row that is not proven dead has to be refused."""
        if self.lost or self.list.keys == ORDINAL_KEYS:
            return
        sheet = {order.row_key for order in self.list.orders()}
        alive = [
            e
            for e in self._latest()
            if e.evidence is not Evidence.DEAD
            and e.state is not State.REFUNDED
            and e.row_key in sheet
            and e.issue == 1
        ]
        if not alive:
            return
        self.did["a second number without proof"] += 1
        self._run_orders(
            [self._tied(alive[0], 2, new=True)], "run a sheet with a second number", partial=True
        )
        if self._ended_well:
            raise Broken("a second number was let through although the first is not dead")

    def _tied(self, entry: Entry, number: int, *, new: bool) -> PacketOrder:
        """A row of a sheet that we wrote; of a new number with an amount of its own."""
        uid = self.row_of_fen[entry.total_amount]
        fen = self._new_fen(uid) if new else entry.total_amount
        row = Row(uid, "", entry.re_openid, fen, entry.parameters["wishing"])
        tie = Tie(campaign=entry.campaign, row_key=entry.row_key, issue=entry.issue + new)
        return self.list.order(row, number, entry.row_key, tie)

    def _latest(self) -> list[Entry]:
        """Of each row the entry with the highest issue number."""
        latest: dict[str, Entry] = {}
        for entry in self.machine.entries().values():
            before = latest.get(entry.row_key)
            if before is None or before.issue < entry.issue:
                latest[entry.row_key] = entry
        return list(latest.values())

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
        self._faults = faults
        self._set_faults()

    def _set_faults(self) -> None:
        faults: dict[str, object] = {"openid_error": {"openids": _OTHER_ACCOUNTS}}
        faults |= self._faults
        if self._takes_back and not self.calm:
            faults |= {"failed_later": 0.15, "send_failed": 0.1}
        if self._certificate_refused:
            faults["ca_error"] = 1.0
        self.machine.faults(**faults)

    def _doubt_the_dead(self) -> None:
        """What failed is not the end: some of it gets a second number, some is paid after all."""
        late, machine = self._late, self.machine
        for _ in range(late.randint(0, 3)):
            self._take_back(share=0.4)
            self._look_up(share=0.4)
            if late.random() < 0.6 and self.list.history:
                self._reissue(waits=late.random() < 0.4)
            if late.random() < 0.3:
                machine.later(late.uniform(0, 3600))
                self._reconcile()

    def _take_back(self, *, share: float) -> None:
        """A packet is paid after all that WeChat Pay has called FAILED."""
        if not self._takes_back or self._late.random() > share:
            return
        now_s = self.machine.clock.true_s()
        failed = [o for o in self.machine.orders_at_gateway().values() if o.status(now_s) == "FAILED"]
        if failed:
            order = self._late.choice(failed)
            self.say(f"{self._time()} {order.mch_billno} is paid although it was FAILED")
            self.did["a failure is taken back"] += 1
            self.taken_back.add(order.mch_billno)
            self.machine.take_back(order)

    def _look_up(self, *, share: float) -> None:
        """Somebody asks what became of such a packet."""
        if self.taken_back and self._late.random() < share:
            self.did["such a packet is looked up"] += 1
            self._work_beside("records status")

    def _break_settings(self) -> None:
        what = self.rng.choice(["key", "appid", "certificate"])
        self.say(f"{self._time()} a wrong {what} in the settings")
        self.did[f"break the {what}"] += 1
        match what:
            case "key":
                self.machine.api_key = "0" * 32
            case "appid":
                self.machine.sender = replace(SENDER, wxappid="wx9999999999999999")
            case "certificate":
                self._certificate_refused = True
                self._set_faults()
        self._run()
        if self.rng.random() < 0.7:
            self._fix_settings()
            self._run()

    def _fix_settings(self) -> None:
        self.did["fix the key"] += self.machine.api_key != API_KEY
        self.did["fix the appid"] += self.machine.sender != SENDER
        self.did["fix the certificate"] += self._certificate_refused
        self.machine.api_key, self.machine.sender = API_KEY, SENDER
        self._certificate_refused = False
        self._set_faults()

    def _top_up(self) -> None:
        fen = self.rng.randint(1, 50_000)
        self.say(f"{self._time()} top up {fen}")
        self.did["top up"] += 1
        self.machine.top_up(fen)

    def _point(self, step: str) -> None:
        """A step that touches disk or network: the process may die here, or another one do its work."""
        self.steps += 1
        rng = self.rng
        if self.calm:
            return
        if self.crash_share and rng.random() < self.crash_share:
            self.did[f"crash {step}"] += 1
            raise Crash(f"{step} ({self.steps})")
        # Not before the request: between the pace and the wire nothing may take time.
        if step != "after the request" or self._beside or self.machine.committing:
            return
        self._take_back(share=0.02)
        if self.beside_share and rng.random() < self.beside_share:
            self._work_beside(rng.choice(["reconcile", "run", "cancel", "run another", "run another"]))
        self._look_up(share=0.02)

    def _work_beside(self, what: str) -> None:
        """Another process of this operator, while the first one is in the middle of a request."""
        self._beside = True
        here, allowed, label = self.list, self._allowed, self._process
        campaign, place = self.machine.campaign, self.machine.place
        others = [each for each in self.lists if each is not here and each.history]
        self.say(f"    beside: {what}")
        try:
            if what == "reconcile":
                self._reconcile_beside()
            elif what == "records status":
                self.machine.look_up(self._late.choice(sorted(self.taken_back)))
            elif what == "run another" and others:
                self.take(self.rng.choice(others))
                self.did["run another campaign beside"] += 1
                self._run_orders(self.list.orders(), "run")
            elif what != "run another" and (self.machine.path, campaign) in self.machine._held:
                self.did[f"{what} beside a run"] += 1
                work = self.machine.cancel if what == "cancel" else self._run_beside
                try:
                    work()
                except CampaignHeld:
                    return
                raise Broken(f"a second {what} at the same time")
        except (Crash, CampaignError) as error:
            self.say(f"    beside: {type(error).__name__} {error}")
        finally:
            self._beside, self._allowed, self._process = False, allowed, label
            self._list, self.machine.campaign, self.machine.place = here, campaign, place

    def _run_beside(self) -> None:
        self.machine.run(self.list.orders(), keys=self.list.keys)

    def _reconcile_beside(self) -> None:
        """It may repeat what nobody holds, and nothing of the campaign that is at work."""
        self.did["reconcile beside a run"] += 1
        sent, held = len(self.machine.wire.letters), bool(self.machine._held)
        self.machine.reconcile()
        if held and len(self.lists) == 1 and len(self.machine.wire.letters) > sent:
            raise Broken("a reconcile beside a run repeated a send")

    def _before_send(self, number: str) -> None:
        machine = self.machine
        entry = machine._recorded(number)
        assert machine._open is not None
        [[in_doubt_fen]] = machine._open._db.execute(
            "SELECT sum(total_amount) FROM entry WHERE state = 'in_doubt'"
        ).fetchall()
        [[contradicted, counted_fen]] = machine._open._db.execute(_BEGUN, (number,)).fetchall()
        if contradicted:
            raise Broken(f"{number} was begun although an earlier number of its row may have been paid")
        if entry.attempt == 1 and (counted_fen or 0) > self.budget_fen and not self.lost:
            raise Broken(f"{counted_fen} fen count against the budget, {self.budget_fen} allowed")
        self.did["a request leaves while a commit is written"] += machine.committing
        if in_doubt_fen > machine.limits.in_doubt_fen and not self.lost:
            raise Broken(f"{in_doubt_fen} fen in doubt, {machine.limits.in_doubt_fen} allowed")
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
        for disk in machine.disks:
            disk.full_share = disk.copy_share = 0.0
        self._faults = {}
        self._fix_settings()
        machine.top_up(20_000_000)
        self.budget_fen = max(self.budget_fen, 10_000_000)
        machine.limits = replace(machine.limits, campaign_fen=10_000_000, in_doubt_fen=10_000_000)
        before, quiet = None, 0
        for each in self.lists:
            each.finished = False
        for turn in range(60):
            for each in self.lists:
                self.take(each)
                if each.another_list:
                    self._put_back()
                if not each.finished:
                    self._fix_rows()
                    self._run(reopen=True)
            hours = (26, 26, 80)[quiet]
            machine.later(hours * 3600.0 if turn else 1300.0)
            for place in self.places():
                machine.place = place
                self._reconcile()
            entries = self._outline()
            if any(e.evidence == Evidence.DEAD or e.issue > 1 for e in entries):
                for each in self.lists:
                    self.take(each)
                    self._reissue()
                entries = self._outline()
            now = {(e.mch_billno, e.state, e.flag) for e in entries}
            quiet = quiet + 1 if now == before and turn else 0
            before = now
            latest = {(e.campaign, e.row_key): e.issue for e in sorted(entries, key=lambda e: e.issue)}
            settled = all(
                e.state in SETTLED and (e.state != State.REJECTED or e.issue < latest[e.campaign, e.row_key])
                for e in entries
            )
            if (turn and settled) or quiet > 2:
                return

    def _outline(self) -> list[Outline]:
        """What matters of all entries of all ledgers for knowing whether anything still happens."""
        return [
            Outline(*row)
            for place in self.places()
            if self.machine.has_ledger(place)
            for row in self.machine.disks[place].read(
                "SELECT mch_billno, campaign, row_key, issue, state, evidence, flag FROM entry"
            )
        ]

    def places(self) -> Iterable[int]:
        """The ledgers that there are."""
        return [n for n, disk in enumerate(self.machine.disks) if file.exists(disk.path)]

    def entries(self, place: int) -> list[Entry]:
        """Everything that one ledger has."""
        before, self.machine.place = self.machine.place, place
        with self.machine.look() as ledger:
            found = [entry for campaign in ledger.campaigns() for entry in ledger.entries(campaign.name)]
        self.machine.place = before
        return found

    def _time(self) -> str:
        days, rest = divmod(self.machine.clock.true_s() - START_S, DAY_S)
        return f"[day {days:.0f} {rest / 3600:05.2f}h]"


def _digest(orders: Sequence[PacketOrder]) -> str:
    """Stands for the bytes of the sheet's file: equal for an equal sheet."""
    return repr([(order.row_key, order.re_openid, order.total_amount, order.wishing) for order in orders])
