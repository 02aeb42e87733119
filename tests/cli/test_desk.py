"""What a signal may meet on its way to a command."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from campaign.cli.desk import Stop


def test_a_stop_may_be_asked_for_at_any_instruction_of_a_pause():
    """A signal's handler runs between two of them, on the thread that pauses."""
    asked_within = range(1_000)
    for instruction in asked_within:
        stop = Stop()
        pausing = threading.Thread(target=pause_and_ask, args=(stop, instruction), daemon=True)
        pausing.start()
        pausing.join(20)
        assert not pausing.is_alive(), f"it waits for ever when asked at instruction {instruction}"
        if not stop.asked():
            break
        stop.pause(3600)  # over at once
    assert instruction > 10, "it was asked within"


def pause_and_ask(stop: Stop, instruction: int) -> None:
    """A short pause, within which somebody asks at this instruction; at none, if there are fewer."""
    left = instruction

    def count(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == -1:
                stop.ask()
        return count

    sys.settrace(count)
    try:
        stop.pause(0.001)
    finally:
        sys.settrace(None)
