"""Send what is planned for one campaign and resolve the doubts that can be resolved now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_result

from campaign.domain.answer import Reach, Status
from campaign.domain.campaign import Halt, HaltReason
from campaign.stages.shift import Desk, Shift, ask, ask_all, keep_answers
from campaign.wechat.answers import refused_settings

#: How many of the first planned numbers are asked about before a process sends for the first time.
PROBE_ROWS: Final = 8
#: The wheel never turns faster than this, in seconds, whatever is due.
_TURN_S: Final = 0.1


def send(
    desk: Desk,
    campaign: str,
    *,
    wait_s: float,
    pause: Callable[[float], None],
    say_behind: Callable[[], None],
    enough: Callable[[], bool] = lambda: False,
    replan: Callable[[], bool] = lambda: False,
) -> Shift:
    """Work on a campaign until nothing is left that could be done within ``wait_s``.

    The caller holds the campaign's lock. The reason why the work ended early, if it did, is in the
    returned shift and in the ledger.

    Args:
        wait_s: how long to stay, in all, for rows that wait for their time.
        pause: waits, and returns early when somebody asks us to stop.
        say_behind: called when WeChat Pay turns out to know numbers that the ledger calls unsent.
        enough: whether there is nothing more to stay for although rows wait for their time.
        replan: plans the sheet once more when the work is done, and says whether that brought anything:
            what an earlier run was refused for the settings' sake is proven unstored only now.

    Raises:
        SetupError: the first question was refused for the settings' sake; nothing was sent.
    """
    known = desk.ledger.campaign(campaign)
    assert known is not None, "plan before send"
    shift = Shift(
        desk=desk, campaign=campaign, first_sends=True, repeats=True, polls=False, ask_first=known.ask_first
    )
    desk.ledger.wake(campaign, now_s=desk.clock.now_s())
    if not shift.ask_first and _behind_the_truth(shift):
        desk.ledger.set_ask_first(campaign, desk.clock.now_s())
        shift.ask_first = True
    if shift.ask_first:
        say_behind()
        _ask_what_was_proven(desk, campaign)
    if shift.halt is None:
        wheel = _wheel(desk, wait_s, pause, enough)
        wheel(shift.turn)
        if not shift.halted and not desk.stopped() and replan():
            wheel(shift.turn)
    if desk.stopped():
        shift.halt = Halt(reason=HaltReason.INTERRUPTED)
    elif shift.halt is None:
        due_s = desk.ledger.next_due_s(campaign, planned=True, polls=False)
        shift.halt = Halt(reason=HaltReason.WAITING, until_s=due_s) if due_s is not None else None
    desk.ledger.set_halt(campaign, shift.halt, desk.clock.now_s())
    return shift


def _ask_what_was_proven(desk: Desk, campaign: str) -> None:
    """An old ledger may have forgotten that WeChat Pay took back what a second number rests on."""
    earlier = desk.ledger.rested_on(campaign)
    with suppress(KeyboardInterrupt):  # nothing is sent then, and the run's end says so
        ask_all(desk, earlier, book=lambda batch: keep_answers(desk.ledger, batch, now_s=desk.clock.now_s()))


def _wheel(desk: Desk, wait_s: float, pause: Callable[[float], None], enough: Callable[[], bool]) -> Retrying:
    """Turns the stage again when the next thing is due, as long as the waiting stays within ``wait_s``."""

    def until_due(state: RetryCallState) -> float:
        assert state.outcome is not None
        return max(_TURN_S, float(state.outcome.result()) - desk.clock.now_s())

    def long_enough(state: RetryCallState) -> bool:
        return bool(state.idle_for + state.upcoming_sleep > wait_s)

    return Retrying(
        retry=retry_if_result(lambda next_due_s: next_due_s is not None and not enough()),
        wait=until_due,
        stop=long_enough,
        sleep=pause,
        retry_error_callback=lambda _state: None,
    )


def _behind_the_truth(shift: Shift) -> bool:
    """Ask about the first planned numbers: if WeChat Pay knows one, our ledger is old, or new (section 3).

    The same few questions prove certificate, key and signature before any money moves.
    """
    desk = shift.desk
    for entry in desk.ledger.sendable(shift.campaign, now_s=desk.clock.now_s(), limit=PROBE_ROWS):
        if desk.stopped():
            return False
        answer = ask(desk, entry).answer
        if answer.reach is Reach.ABORT:
            raise refused_settings(answer.err_code)
        if answer.status is None:
            shift.halt = Halt(reason=HaltReason.UNREACHABLE, err_code=answer.err_code)
            return False
        if answer.status is not Status.NOT_FOUND:
            return True
    return False
