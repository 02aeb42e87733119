"""Ask WeChat Pay what became of the packets, and repeat what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from campaign.domain.campaign import Halt, HaltReason
from campaign.stages.shift import Desk, Shift


def reconcile(
    desk: Desk, campaigns: Iterable[str], *, hold: Callable[[str], AbstractContextManager[bool]]
) -> dict[str, Shift]:
    """Ask whatever is due in these campaigns, once, and return each one's shift.

    A question may be put by anybody at any time; only a holder of the campaign's lock may repeat a
    send, so beside a run this only asks. Nothing is ever sent for the first time here, and a
    cancelled campaign is only asked about.

    Args:
        hold: tries the campaign's lock; gives False when another process has it.
    """
    shifts: dict[str, Shift] = {}
    for name in campaigns:
        known = desk.ledger.campaign(name)
        if known is None or desk.stopped():
            continue
        with hold(name) as held:
            repeats = held and known.cancelled_at_s is None
            shift = Shift(desk=desk, campaign=name, first_sends=False, repeats=repeats, polls=True)
            shifts[name] = shift
            shift.turn()
            if desk.stopped():
                shift.halt = Halt(reason=HaltReason.INTERRUPTED)
            elif shift.halt is not None and held:
                desk.ledger.set_halt(name, shift.halt, desk.clock.now_s())
            elif shift.reached_nobody:  # too few to halt for, and yet nothing that could be called done
                shift.halt = Halt(reason=HaltReason.UNREACHABLE)
    return shifts
