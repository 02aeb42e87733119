"""Which ledger and which campaigns a command is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.cli.desk import registry_of
from campaign.cli.session import Speaker
from campaign.config import Settings
from campaign.domain.billno import canonical_campaign_id
from campaign.domain.plan import Draft
from campaign.errors import Conflict, ForeignLedger, LedgerRefused, StorageError, UsageError
from campaign.ledger import file
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.stages.plan import Lost
from campaign.text import text

if TYPE_CHECKING:
    from campaign.sheet import Reading


@contextmanager
def existing_ledger(settings: Settings, clock: Clock) -> Iterator[Ledger | None]:
    """The ledger of the settings, or None where nothing was ever run; never makes one."""
    ledger = Ledger.open_existing(
        settings.ledger_path(),
        merchant=settings.merchant.mch_id,
        gateway=settings.ledger_gateway(),
        clock=clock,
    )
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


@contextmanager
def ledger_to_run(
    settings: Settings, speaker: Speaker, clock: Clock, *, new_ledger: bool
) -> Iterator[Ledger]:
    """The ledger to plan and send with, made where there is none; it knows when it may be behind the truth.

    Raises:
        Conflict: it would be the merchant's second ledger, and nobody asked for that.
    """
    path, registry = settings.ledger_path(), registry_of(settings)
    before = registry.standing(path)
    exists = file.exists(path)
    if not exists and before.others and not new_ledger:
        raise Conflict(
            text(
                "This merchant has a ledger already: {other}. A second one at {path} would not know what the "
                "first one sent; nothing was sent.",
                other=str(before.others[0]),
                path=str(path),
            ),
            advice=text(
                "Run the sheet with the settings of that ledger (--config), or set [ledger] url to it. If "
                "this is a list of its own, add --new-ledger."
            ),
        )
    behind = before.vanished or (not exists and bool(before.lost) and not new_ledger)
    if behind:
        gone = path if before.vanished else before.lost[0]
        speaker.say(text("The ledger {path} has vanished.", path=str(gone)), style="yellow")
    with Ledger.open(
        path, merchant=settings.merchant.mch_id, gateway=settings.ledger_gateway(), clock=clock
    ) as ledger:
        # A ledger that was not here before may be one that is not where it was any more, or a backup of it.
        before_it = (path,) if before.known or new_ledger else before.lost
        heads = [head for known in before_it if (head := registry.last_event(known)) is not None]
        if exists and not behind and not all(ledger.has_event(*head) for head in heads):
            behind = True
            speaker.say(text("The ledger {path} is an older copy of itself.", path=str(path)), style="yellow")
        if behind:
            ledger.ask_everything_first(clock.now_s())  # before the registry forgets what it noticed
        if new_ledger:
            for lost in before.lost:
                registry.give_up(lost)
        registry.remember(path, ledger.head(), ledger.campaigns())
        try:
            yield ledger
        finally:
            registry.remember(path, ledger.head(), ledger.campaigns())


def lost_lists(settings: Settings, ledgers: Iterable[Ledger]) -> list[Lost]:
    """What is still known of campaigns whose record is lost: with a ledger, or from one of these.

    A campaign of a ledger that may be an older copy of itself had rows, perhaps, that the copy lacks.

    Args:
        ledgers: the campaign's own ledger and the merchant's others.
    """
    registry = registry_of(settings)
    before = registry.standing(settings.ledger_path())
    gone = (listed for path in (*before.lost, *before.given_up) for listed in registry.lists(path))
    lost = [(listed, False) for listed in gone]
    for ledger in ledgers:
        assert ledger.path is not None
        here = {campaign.name: campaign.ask_first for campaign in ledger.campaigns()}
        known = ((listed, listed.campaign in here) for listed in registry.lists(ledger.path))
        lost += [(listed, there) for listed, there in known if not there or here[listed.campaign]]
    return [Lost(listed, partial(registry.common_rows, listed), known=there) for listed, there in lost]


def remember_plan(settings: Settings, ledger: Ledger) -> None:
    """Remember the campaigns before anything is sent: a process that is killed later cannot."""
    registry_of(settings).remember(settings.ledger_path(), ledger.head(), ledger.campaigns())


def remember_rows(settings: Settings, drafted: Draft, now_s: float) -> None:
    """Remember who is to get what, before it is planned, for the day on which the ledger is lost."""
    if claims := drafted.claims:
        registry_of(settings).remember_rows(
            settings.ledger_path(), drafted.campaign, claims.payments(), now_s
        )


class OtherLedgers:
    """The merchant's other ledgers on this machine, those that another process makes meanwhile included.

    Every method may raise `LedgerRefused` and `StorageError`: one cannot be read, so nobody knows what it
    paid today, and to whom.
    """

    def __init__(
        self, settings: Settings, clock: Clock, stack: ExitStack, *, only_asks: bool = False
    ) -> None:
        """``stack`` closes them. ``only_asks``: nothing is sent for the first time, so one that cannot be
        read is left out.
        """
        self._settings = settings
        self._clock = clock
        self._stack = stack
        self._unread = (LedgerRefused, StorageError) if only_asks else (ForeignLedger,)
        self._registry = registry_of(settings)
        self._version: tuple[int, int] | None = None
        self._found: dict[Path, Ledger | None] = {}

    def now(self) -> list[Ledger]:
        """Those that there are at this moment."""
        version = self._registry.version()
        if version != self._version:
            for path in self._registry.standing(self._settings.ledger_path()).others:
                if path not in self._found:
                    self._found[path] = self._opened(path)
            self._version = version
        return [ledger for ledger in self._found.values() if ledger is not None]

    @contextmanager
    def while_spending(self) -> Iterator[list[Ledger]]:
        """The same; until the end of the ``with`` block no process with another of them spends anything."""
        with self._registry.spending(self._clock):
            yield self.now()

    def _opened(self, path: Path) -> Ledger | None:
        settings = self._settings
        with suppress(*self._unread):
            ledger = Ledger.open_existing(
                path, merchant=settings.merchant.mch_id, gateway=settings.ledger_gateway(), clock=self._clock
            )
            return ledger and self._stack.enter_context(ledger)
        return None


@contextmanager
def other_ledgers(settings: Settings, clock: Clock, *, only_asks: bool = False) -> Iterator[OtherLedgers]:
    """The merchant's other ledgers; see `OtherLedgers`. Raises as that does, and closes them."""
    with ExitStack() as stack:
        others = OtherLedgers(settings, clock, stack, only_asks=only_asks)
        others.now()  # what cannot be read is refused before anything is done
        yield others


def chosen_campaigns(ledger: Ledger | None, name: str | None) -> list[str]:
    """The named campaign, or all of them, oldest first.

    Raises:
        UsageError: there is no campaign of this name.
    """
    known = [campaign.name for campaign in ledger.campaigns()] if ledger else []
    if name is None:
        return known
    try:
        wanted = canonical_campaign_id(name)
    except ValueError:
        wanted = ""
    if wanted in known:
        return [wanted]
    raise UsageError(
        text("There is no campaign {name} in this ledger.", name=repr(name)),
        advice=text("Known campaigns: {names}.", names=tuple(known))
        if known
        else text("No campaign was run yet: `campaign run SHEET` runs one."),
    )


def campaign_name(reading: Reading, name: str | None, sheet: Path) -> str:
    """The campaign id: what our own sheets say, else ``--name``, else the file's stem.

    Raises:
        UsageError: the name is empty or holds control characters, or the sheet belongs to another one.
    """
    tied = reading.tied_to | reading.campaigns
    tied |= {tie.campaign for _, tie in reading.flawed.values() if tie}
    try:
        chosen = canonical_campaign_id(name if name is not None else sheet.stem)
    except ValueError as error:
        raise UsageError(
            text("{name} cannot be a campaign's name.", name=repr(name or sheet.stem)),
            advice=text("Give a name of visible characters with --name."),
        ) from error
    if not tied:
        return chosen
    if len(tied) > 1 or (name is not None and tied != {chosen}) or not all(map(_is_canonical, tied)):
        raise UsageError(
            text(
                "The rows of this sheet belong to the campaign {campaigns}.",
                campaigns=tuple(sorted(tied)),
            ),
            advice=text("Run it without --name, one campaign at a time."),
        )
    return next(iter(tied))


def _is_canonical(name: str) -> bool:
    """Whether a name that stands in a sheet is as we wrote it."""
    try:
        return canonical_campaign_id(name) == name
    except ValueError:
        return False
