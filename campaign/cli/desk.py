"""What the sending commands share: the real desk, and a stop that can be asked for."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import FrameType
from typing import Final

from campaign.config import Settings
from campaign.ledger.registry import Registry
from campaign.ledger.store import Ledger
from campaign.ports import Clock, Gateway
from campaign.stages.crew import Crew, LineCrew, ThreadCrew
from campaign.stages.pacing import SharedPacer
from campaign.stages.shift import Asked, Desk, Sent

EXIT_INTERRUPTED: Final = 130
#: How soon a pause notices that it is to end.
_LOOK_EVERY_S: Final = 0.1


class Stop:
    """Whether somebody asked us to stop, and a way to wait that ends when they do.

    A signal asks from within whatever its thread is doing, `pause` included, so there are no locks here: that
    of a `threading.Event` would wait for itself for ever.
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Somebody wants us to stop."""
        self._asked = True

    def asked(self) -> bool:
        """Whether somebody wants us to stop."""
        return self._asked

    def pause(self, seconds: float) -> None:
        """Wait, but hardly longer than until somebody asks us to stop."""
        until_s = time.monotonic() + seconds
        while not self._asked and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_EVERY_S))


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Ctrl-C or SIGTERM asks us to stop; the second one ends the process at once.

    That loses nothing: what is in flight is in doubt in the ledger already.
    """
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.asked():
            os._exit(EXIT_INTERRUPTED)
        stop.ask()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def open_desk(
    settings: Settings,
    ledger: Ledger,
    gateway: Gateway,
    clock: Clock,
    stop: Stop,
    progress: Callable[[], None] = lambda: None,
    *,
    repeat_parked: bool = False,
    other_ledgers: Callable[[], AbstractContextManager[Sequence[Ledger]]] = lambda: nullcontext(()),
) -> Iterator[Desk]:
    """The desk of the settings, with the merchant's shared pace and real threads.

    Args:
        repeat_parked: the operator wants parked packets sent again, whatever ``[parked]`` says.
        other_ledgers: as the desk has it.
    """
    policy = settings.policy()
    crew = _crew(gateway, settings.gateway.connections, clock)
    registry = registry_of(settings)
    try:
        yield Desk(
            ledger=ledger,
            gateway=gateway,
            send_pacer=SharedPacer(registry.pace_path("sends"), settings.gateway.sends_per_second, clock),
            query_pacer=SharedPacer(
                registry.pace_path("queries"), settings.gateway.queries_per_second, clock
            ),
            clock=clock,
            crew=crew,
            policy=replace(policy, parked_auto=policy.parked_auto or repeat_parked),
            limits=settings.limits.as_limits(),
            breaker=settings.breaker.as_policy(),
            sends_per_second=settings.gateway.sends_per_second,
            other_ledgers=other_ledgers,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            stopped=stop.asked,
            progress=progress,
        )
    finally:
        crew.close()


def _crew(gateway: Gateway, size: int, clock: Clock) -> Crew[Sent | Asked]:
    """One thread where the gateway's line needs no more; else a thread for each request under way."""
    return LineCrew(gateway.line, clock) if gateway.line else ThreadCrew(size)


def registry_of(settings: Settings) -> Registry:
    """What this machine remembers of the settings' merchant and gateway."""
    return Registry.of(
        merchant=settings.merchant.mch_id, gateway=settings.registry_gateway(), environ=os.environ
    )
