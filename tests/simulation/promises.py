"""What must hold of every story, whatever happened in it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from campaign.domain.entry import Entry, Flag
from campaign.domain.state import Evidence, State
from campaign.domain.verdict import Verdict, evidence, verdict
from campaign.rehearsal.books import Order
from tests.simulation.parts import Broken

if TYPE_CHECKING:
    from tests.simulation.story import Story

#: An order at the gateway that money left for, and the states that tell so.
_PAID_STATES: Final = {
    "SENDING": {State.ACCEPTED, State.PARKED, State.IN_DOUBT},
    "SENT": {State.ACCEPTED},
    "RFUND_ING": {State.ACCEPTED},
    "RECEIVED": {State.RECEIVED},
    "REFUND": {State.REFUNDED},
}


class Promises:
    """Looks at both books of one story, the operator's ledgers and the gateway's."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._machine = story.machine

    def check_payments(self) -> None:
        """Each row at most once, and no campaign beyond its budget."""
        story = self._story
        paid: dict[int, list[Order]] = defaultdict(list)
        for order in self._machine.paid().values():
            paid[story.row_of_fen[order.total_amount]].append(order)
        spent: dict[int, int] = defaultdict(int)
        for uid, orders in paid.items():
            # What was FAILED may have another number already, or another row its money.
            kept = [order for order in orders if order.mch_billno not in story.taken_back]
            if len(kept) > 1:
                raise Broken(f"row {uid} was paid {len(kept)} times: {[o.mch_billno for o in kept]}")
            spent[id(story.list_of[uid])] += sum(order.total_amount for order in kept)
        for fen in spent.values():
            if fen > story.budget_fen and not story.lost:
                raise Broken(f"{fen} fen were spent, {story.budget_fen} allowed")

    def check_end(self) -> None:
        """Every payable row exactly once, both books equal, and a verdict with evidence for each entry."""
        self.check_payments()
        story = self._story
        gateway = self._machine.orders_at_gateway()
        ledgers = {place: self._story.entries(place) for place in story.places()}
        everything = [entry for entries in ledgers.values() for entry in entries]
        if unknown := gateway.keys() - {entry.mch_billno for entry in everything}:
            wanted = {row.fen for each in story.lists for row in each.rows}
            if not story.lost or any(gateway[n].total_amount in wanted for n in unknown):
                raise Broken(f"orders that no ledger knows: {unknown}")
        for place, entries in ledgers.items():
            self._machine.place = place
            self._check_ledger(entries)
            for entry in entries:
                self._check_entry(entry, gateway.get(entry.mch_billno))
        self._check_rows(everything, gateway)
        self._check_days()

    def _check_ledger(self, entries: list[Entry]) -> None:
        with self._machine.look() as ledger:
            if broken := list(ledger.broken_events()):
                raise Broken(f"the event chain is broken at {broken}")
            if miscounted := [*ledger.miscounted(), *ledger.miscounted_days()]:
                raise Broken(f"sums that are not those of their rows: {miscounted}")
            if unexplained := list(ledger.unexplained()):
                raise Broken(f"states that no event explains: {unexplained}")
            if altered := list(ledger.altered_entries()):
                raise Broken(f"rows that are not as they were planned: {altered}")
            totals = {campaign.name: ledger.totals(campaign.name) for campaign in ledger.campaigns()}
        for name, of_campaign in totals.items():
            for state in State:
                fen = [e.total_amount for e in entries if e.campaign == name and e.state is state]
                if of_campaign.get(state, (0, 0)) != (len(fen), sum(fen)):
                    raise Broken(f"the totals of {name}, {state}, do not add up")

    def _check_entry(self, entry: Entry, order: Order | None) -> None:
        """The ledger's word on one number is the gateway's, and it has a verdict with evidence."""
        lost = self._story.lost
        where = f"{entry.mch_billno} ({entry.re_openid} {entry.total_amount}) is {entry.state}"
        if not str(evidence(entry)):
            raise Broken(f"{where} without evidence")
        if entry.flag is not None and entry.flag is not Flag.STUCK:
            if not (self._story.lied or lost or entry.mch_billno in self._story.taken_back):
                raise Broken(f"{where} and flagged {entry.flag}")
            return
        if order is None:
            never = entry.state in (State.PLANNED, State.CANCELLED) or entry.evidence is Evidence.UNSTORED
            if not never and not self._given_up(entry) and not self._rests_on_a_contradiction(entry):
                raise Broken(f"{where}, and WeChat Pay has no such order")
            return
        if lost and entry.state in (State.PLANNED, State.CANCELLED):
            return  # an older copy, and since then no sheet that has the row: nobody was to ask about it
        if lost and order.re_openid != entry.re_openid:
            return  # edited since the copy was made; gethbinfo does not say to whom an order is
        if (order.re_openid, order.total_amount) != (entry.re_openid, entry.total_amount):
            raise Broken(f"{where}, but the order is {order.re_openid} {order.total_amount}")
        if order.mch_billno in self._story.taken_back and entry.evidence is Evidence.DEAD:
            return  # nobody asked again
        status = order.status(self._machine.clock.true_s())
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
        if entry.state is State.IN_DOUBT and entry.todo is not None and entry.flag is None:
            return False  # it is still asked about, be it a person's matter by now
        tried = entry.tally.attempts - entry.tally.not_sent
        first_s = entry.first_sent_at_s
        old = first_s is not None and self._machine.clock.true_s() - first_s > 72 * 3600
        return (tried >= self._machine.policy.attempts_max or old) and self._needs_person(entry)

    def _rests_on_a_contradiction(self, entry: Entry) -> bool:
        """A later number in doubt is only asked about while a person has to look at an earlier one."""
        return entry.state is State.IN_DOUBT and any(
            earlier.row_key == entry.row_key
            and earlier.issue < entry.issue
            and earlier.flag is Flag.CONTRADICTION
            for earlier in self._needs(entry.campaign)
        )

    def _needs_person(self, entry: Entry) -> bool:
        return any(e.mch_billno == entry.mch_billno for e in self._needs(entry.campaign))

    def _needs(self, campaign: str) -> list[Entry]:
        with self._machine.look() as ledger:
            return list(ledger.needs_person(campaign, self._machine.clock.now_s()))

    def _check_rows(self, entries: list[Entry], gateway: dict[str, Order]) -> None:
        """Every row of every sheet was paid exactly once, unless a person has to look at it."""
        row_of_fen = self._story.row_of_fen
        paid = {row_of_fen[o.total_amount] for o in gateway.values() if o.paid_s is not None}
        by_uid = defaultdict(list)
        for entry in entries:
            by_uid[row_of_fen[entry.total_amount]].append(entry)
        for each in self._story.lists:
            self._machine.place = each.place
            for row in each.rows:
                mine = by_uid[row.uid]
                if not mine:
                    raise Broken(f"row {row} has no entry")
                excused = any(self._given_up(e) for e in mine) or any(
                    # Nor is a dead number followed by another while what was said of it does not agree.
                    e.flag in (Flag.MISMATCH, Flag.CONTRADICTION, Flag.OTHER_ID)
                    for e in mine
                )
                if row.uid not in paid and not excused:
                    states = [(e.mch_billno, e.state, e.evidence) for e in mine]
                    raise Broken(f"row {row} was not paid: {states}")

    def _check_days(self) -> None:
        """The caps of each Beijing day, counted on the days on which requests left."""
        if self._story.lost or self._story.clock_was_set:
            return
        limits = self._machine.limits
        day_fen: dict[str, int] = defaultdict(int)
        people: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, order in self._machine.paid().items():
            if number in self._story.taken_back:
                continue  # its day was given to others, perhaps
            for day in self._machine.wire.days_of(number, order.stored_s):
                day_fen[day] += order.total_amount
                people[day, order.re_openid].append(order.total_amount)
        for day, fen in day_fen.items():
            if fen > limits.merchant_day_fen:
                raise Broken(f"{fen} fen on {day}, {limits.merchant_day_fen} allowed")
        for (day, openid), amounts in people.items():
            if len(amounts) > limits.person_day_packets or sum(amounts) > limits.person_day_fen:
                raise Broken(f"{openid} got {amounts} on {day}")
