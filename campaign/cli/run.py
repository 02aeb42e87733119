"""``campaign run SHEET``: check, ask, plan, send, resolve what can be resolved now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from campaign import notify
from campaign.cli.answers import as_json, exit_code, tell
from campaign.cli.check import facts_of, read_options, tell_notes, tell_reading
from campaign.cli.desk import interruptible, open_desk
from campaign.cli.forecast import tell_forecast, tell_rest
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.gateway import open_gateway
from campaign.cli.names import (
    OtherLedgers,
    campaign_name,
    ledger_to_run,
    lost_lists,
    other_ledgers,
    remember_plan,
    remember_rows,
)
from campaign.cli.progress import Progress
from campaign.cli.unchanged import plan_digest, unchanged
from campaign.config import Settings
from campaign.domain.billno import canonical_campaign_id
from campaign.domain.forecast import Forecast, budget_problems, forecast
from campaign.domain.limits import days_needed
from campaign.domain.money import yuan_grouped
from campaign.domain.order import PacketOrder, Source
from campaign.domain.plan import Draft
from campaign.domain.state import State
from campaign.errors import Conflict, SameListAgain, SheetRejected, UsageError
from campaign.ledger.lock import hold_campaign
from campaign.ledger.store import Ledger
from campaign.ports import Clock, SystemClock
from campaign.sheet import Reading, read_sheet
from campaign.stages.news import of_run
from campaign.stages.plan import Lost, SheetFacts, draft, plan, refuse_lost_list, refuse_same_list
from campaign.stages.send import send
from campaign.stages.standing import Standing, standing
from campaign.text import text


@command(
    "run",
    help=text("Check a sheet, ask, and pay its packets. Running it again resumes and never pays twice."),
    examples=(
        "campaign run lantern.xlsx",
        text("campaign run lantern.xlsx --limit 5  # a pilot: only the first five rows"),
        text("campaign run lantern.xlsx --yes --json  # from a script"),
    ),
)
@click.argument("sheet", type=click.Path(path_type=Path))
@option("--name", help=text("The campaign's name (default: the sheet's file name)."))
@option("--yes", is_flag=True, help=text("Do not ask before sending."))
@option("--sheet", "worksheet", help=text("The worksheet to read."))
@option("--limit", type=click.IntRange(min=1), help=text("Only the sheet's first N rows: a pilot."))
@option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=300.0,
    help=text("Seconds to stay for rows that wait for their time (default 300)."),
)
@option("--allow-repeats", is_flag=True, help=text("One person may have several rows."))
@option("--include-hidden", is_flag=True, help=text("Pay hidden rows too."))
@option(
    "--also-pays",
    multiple=True,
    metavar="CAMPAIGN",
    help=text("These people may be paid although that campaign paid them too. Can be given again."),
)
@option("--new-ledger", is_flag=True, help=text("Begin a second ledger for this merchant."))
@option("--reopen", is_flag=True, help=text("Take up a cancelled campaign again."))
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def run(
    session: Session,
    sheet: Path,
    name: str | None,
    yes: bool,
    worksheet: str | None,
    limit: int | None,
    wait_s: float,
    allow_repeats: bool,
    include_hidden: bool,
    also_pays: tuple[str, ...],
    new_ledger: bool,
    reopen: bool,
    unmask: bool,
) -> int:
    settings = session.settings(beside=sheet)
    options = read_options(
        settings,
        worksheet=worksheet,
        limit=limit,
        allow_repeats=allow_repeats,
        include_hidden=include_hidden,
    )
    clock = SystemClock()
    same = None if reopen or new_ledger else unchanged(sheet, options, settings, clock, name=name)
    reading = None if same else read_sheet(sheet, options)
    if reading is not None and reading.problems:
        tell_reading(reading, session, unmask=unmask)
        return SheetRejected.exit_code
    if not yes and not session.interactive:
        raise UsageError(
            text("There is no terminal to ask on, so nothing was sent."),
            advice=text("Add --yes if the sheet may be paid without a question."),
        )
    if reading is None:
        assert same is not None
        campaign, facts = same.campaign, same.facts
    else:
        campaign = campaign_name(reading, name, sheet)
        digest = plan_digest(reading.digest, sheet, options, settings, campaign=campaign)
        facts = facts_of(reading, partial=limit is not None, plan_digest=digest)
    with (
        hold_campaign(settings.ledger_path(), campaign),
        ledger_to_run(settings, session, clock, new_ledger=new_ledger) as ledger,
        other_ledgers(settings, clock) as others,
    ):
        _refuse_cancelled(ledger, campaign, reopen=reopen)
        planner = _Planner(
            session, settings, ledger, others, clock, campaign, facts, may_repeat=_named(also_pays)
        )
        if same:
            same.require_still(ledger)
        agreed = (
            planner.agree_to_rest(yes=yes)
            if reading is None
            else planner.plan(reading, yes=yes, reopen=reopen)
        )
        if not agreed:
            session.say(text("Nothing was sent and nothing was recorded."))
            if session.json:
                session.answer_json({"campaign": campaign, "declined": True})
            return 0

        def replan() -> bool:
            return planner.may_replan() and planner.replan(reading or read_sheet(sheet, options))

        interrupted = False
        if worked := is_unfinished(ledger, campaign):
            interrupted = _work(
                session, settings, ledger, others, clock, campaign, yes=yes, wait_s=wait_s, replan=replan
            )
        state = standing(ledger, campaign, now_s=clock.now_s())
        if session.json:
            session.answer_json(as_json(state, session, unmask=unmask))
        else:
            tell(state, session)
        if worked:
            _tell_people(session, settings, state)
        return exit_code([state], interrupted=interrupted)


def _work(
    session: Session,
    settings: Settings,
    ledger: Ledger,
    others: OtherLedgers,
    clock: Clock,
    campaign: str,
    *,
    yes: bool,
    wait_s: float,
    replan: Callable[[], bool],
) -> bool:
    """Send and ask until nothing is left that can be done now; whether somebody stopped us before that."""
    repeat_parked = _may_repeat_parked(session, settings, ledger, campaign, yes=yes)
    with (
        open_gateway(settings, session) as gateway,
        interruptible() as stop,
        Progress(session, ledger, campaign, clock) as progress,
        open_desk(
            settings,
            ledger,
            gateway,
            clock,
            stop,
            progress,
            repeat_parked=repeat_parked,
            other_ledgers=others.while_spending,
        ) as desk,
    ):
        send(
            desk,
            campaign,
            wait_s=wait_s,
            pause=stop.pause,
            say_behind=lambda: session.say(
                text(
                    "This ledger may be older than the truth, or new: WeChat Pay may know packets that it "
                    "calls unsent. Every row is asked about before it is sent, so nobody is paid twice."
                ),
                style="yellow",
            ),
            replan=replan,
        )
        return stop.asked()


def _tell_people(session: Session, settings: Settings, state: Standing) -> None:
    """Tell whom ``[notify]`` names how the run ended."""
    title = text("Run of campaign {campaign}", campaign=state.campaign.name)
    for failure in notify.tell(settings, of_run(state), title=title).failures:
        session.say(failure, style="yellow")


def is_unfinished(ledger: Ledger, campaign: str) -> bool:
    """Whether anything could be sent, repeated or asked about; a finished campaign needs no gateway."""
    totals = ledger.totals(campaign)
    planned, _ = ledger.waiting(campaign)
    return planned > 0 or any(totals[state][0] for state in (State.IN_DOUBT, State.PARKED))


def _may_repeat_parked(
    session: Session, settings: Settings, ledger: Ledger, campaign: str, *, yes: bool
) -> bool:
    """Packets that WeChat Pay holds are sent again, under the same number, only if somebody wants that."""
    rows, fen = ledger.totals(campaign)[State.PARKED]
    if not rows or settings.parked.repeat == "auto":
        return False
    return yes or session.ask(
        text(
            "WeChat Pay holds {rows} packets, {yuan} yuan, and does not pay them. Send them again under the "
            "same numbers? If the cause is not removed yet, say no.",
            rows=rows,
            yuan=yuan_grouped(fen),
        )
    )


def _refuse_cancelled(ledger: Ledger, campaign: str, *, reopen: bool) -> None:
    known = ledger.campaign(campaign)
    if known is not None and known.cancelled_at_s is not None and not reopen:
        raise Conflict(
            text("Campaign {campaign} was cancelled; nothing was sent.", campaign=campaign),
            advice=text("Add --reopen to take it up again."),
        )


def _named(also_pays: tuple[str, ...]) -> frozenset[str]:
    """The campaigns of ``--also-pays``.

    Raises:
        UsageError: one of them cannot be a campaign's name.
    """
    try:
        return frozenset(map(canonical_campaign_id, also_pays))
    except ValueError:
        raise UsageError(
            text("--also-pays needs the name of a campaign."),
            advice=text("`campaign status` lists the campaigns."),
        ) from None


class _Planner:
    """Brings a sheet into the ledger, with the operator's consent."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        ledger: Ledger,
        others: OtherLedgers,
        clock: Clock,
        campaign: str,
        facts: SheetFacts,
        *,
        may_repeat: frozenset[str],
    ) -> None:
        self._session, self._settings, self._clock = session, settings, clock
        self._ledger, self._others = ledger, others
        self._campaign, self._facts = campaign, facts
        #: The campaigns whose people may be paid once more.
        self._may_repeat = may_repeat
        #: Whether entries were sent with other values than the sheet and the settings have now.
        self._outdated = False

    def plan(self, reading: Reading, *, yes: bool, reopen: bool) -> bool:
        """Show what would be paid, ask, and give every row its entry; whether somebody agreed.

        Raises:
            SheetRejected: the sheet does not fit into the operator's own limits.
            Conflict: it disagrees with the ledger, or another campaign has the same list.
        """
        drafted = self._draft(reading)
        lost = lost_lists(self._settings, (self._ledger, *self._others.now()))
        self._may_repeat |= self._refuse_same_list(drafted, may_ask=self._session.interactive, lost=lost)
        tell_notes(reading, self._session)
        planned = self._forecast(drafted.pending)
        self._require_within_limits(planned)
        if not self._agreed(planned, tell_forecast, yes=yes):
            return False
        remember_rows(self._settings, drafted, self._clock.now_s())
        with self._others.while_spending(), self._ledger.atomic():
            # While the question was open, somebody may have planned a copy of this list. From here on nobody
            # does, with another ledger either: neither would see what the other has not committed yet.
            self._refuse_same_list(drafted, may_ask=False)
            if reopen:
                self._ledger.reopen(self._campaign, self._clock.now_s())
            self._write(drafted)
        remember_plan(self._settings, self._ledger)
        return True

    def agree_to_rest(self, *, yes: bool) -> bool:
        """The same for a sheet whose plan the ledger has: only the limits are looked at again."""
        rows, fen = self._ledger.waiting(self._campaign)
        limits = self._settings.limits.as_limits()
        rest = Forecast(
            rows=rows,
            people=0,
            total_fen=fen,
            seconds=rows / self._settings.gateway.sends_per_second,
            days=days_needed({}, fen, limits),
            budget_left_fen=limits.campaign_fen - self._ledger.counted_fen(self._campaign),
        )
        self._require_within_limits(rest)
        return self._agreed(rest, tell_rest, yes=yes)

    def may_replan(self) -> bool:
        """Whether planning the same sheet once more could bring anything."""
        return self._outdated or self._ledger.may_take_up_again(self._campaign)

    def replan(self, reading: Reading) -> bool:
        """Plan the sheet once more when its rows were sent; whether that brought anything."""
        self._facts = replace(self._facts, partial=self._facts.partial or bool(reading.tied_to))
        if reading.digest != self._facts.digest:  # somebody saved it meanwhile: the next run's to look at
            return False
        try:
            with self._others.while_spending(), self._ledger.atomic():
                again = self._draft(reading)
                # While a row was refused, it did not count as paid: another campaign may have its people now.
                self._refuse_same_list(again, may_ask=False)
                self._write(again)
        except Conflict:  # refused before anything is sent, so that is the next run's to say
            return False
        return bool(again.revised)

    def _draft(self, reading: Reading) -> Draft:
        return draft(
            self._ledger,
            reading.orders,
            campaign=self._campaign,
            sheet=self._facts,
            sender=self._settings.sender(),
        )

    def _write(self, drafted: Draft) -> None:
        self._outdated = drafted.outdated > 0
        title = self._settings.campaign.title
        plan(self._ledger, drafted, sheet=self._facts, title=title, now_s=self._clock.now_s())

    def _refuse_same_list(
        self, drafted: Draft, *, may_ask: bool, lost: Sequence[Lost] = ()
    ) -> frozenset[str]:
        """Only people and amounts show a copied list: the numbers differ. Few common rows are asked about.

        Returns:
            the campaigns whose common rows somebody agreed to pay once more.

        Raises:
            SameListAgain: it is the same list, or nobody agreed to the common rows.
        """
        sheet, also_pays, now_s = self._facts, self._may_repeat, self._clock.now_s()
        ledgers = (self._ledger, *self._others.now())
        common = refuse_lost_list(lost, drafted, sheet=sheet, also_pays=also_pays, now_s=now_s)
        common += refuse_same_list(ledgers, drafted, sheet=sheet, also_pays=also_pays, now_s=now_s)
        for found in common:
            told = text(
                "{rows} of these rows, {yuan} yuan, have the same openid and amount in the campaign "
                "{campaign}.",
                rows=found.rows,
                yuan=yuan_grouped(found.fen),
                campaign=found.campaign,
            )
            if may_ask and self._session.ask(text("{told} Pay them once more?", told=told)):
                continue
            raise SameListAgain(
                text("{told} Nothing was sent.", told=told),
                advice=text(
                    "If they are to be paid once more, add --also-pays {campaign}.", campaign=found.campaign
                ),
            )
        return frozenset(found.campaign for found in common)

    def _forecast(self, pending: Sequence[PacketOrder]) -> Forecast:
        return forecast(
            pending,
            self._settings.limits.as_limits(),
            sends_per_second=self._settings.gateway.sends_per_second,
            counted_fen=self._ledger.counted_fen(self._campaign),
        )

    def _require_within_limits(self, planned: Forecast) -> None:
        whole = Source(file=self._facts.file, sheet="", row=0)
        problems = budget_problems(planned, self._settings.limits.as_limits(), whole)
        if problems:
            raise SheetRejected(
                text("{sheet}: {problem}. Nothing was sent.", sheet=whole.file, problem=problems[0].problem),
                advice=problems[0].advice,
            )

    def _agreed(self, planned: Forecast, tell_it: Callable[[Forecast, Session], None], *, yes: bool) -> bool:
        """Show what would be paid, and ask. True as well when nothing new is to be sent."""
        session = self._session
        if not planned.rows:
            session.say(text("Every row of this sheet was sent before; nothing new is sent."))
            return True
        tell_it(planned, session)
        gateway = self._settings.gateway_name()
        return yes or session.ask(
            text("Send {rows} packets through {gateway} now?", rows=planned.rows, gateway=gateway)
        )
