"""``campaign`` with a look at it every millisecond of CPU: ``python -m tests.bench.sampled FILE ARGUMENT …``.

Threads hide from a sampler inside the process, which sees them only where they give up the interpreter.
So the crew's threads are replaced by hands that work in line, on the main thread; what threads cost in
addition shows in the difference to a run with them. FILE gets the samples of the send stage by subject, as
JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

from campaign.stages.crew import Job, carry_out

_EVERY_S: Final = 0.001
_STAGE: Final = "campaign/stages/send.py"
#: Subjects, by what a frame's file has in its path; the innermost frame that has one decides.
SUBJECTS: Final = (
    ("campaign/wechat/answers.py", "parse"),
    ("campaign/wechat/transport.py", "HTTP"),
    ("campaign/wechat/curl.py", "HTTP"),
    ("campaign/wechat/", "signing, XML"),
    ("/requests/", "HTTP"),
    ("/urllib3/", "HTTP"),
    ("/http/", "HTTP"),
    ("/ssl.py", "HTTP"),
    ("campaign/ledger/", "ledger"),
    ("campaign/stages/pacing.py", "pace"),
    ("campaign/stages/crew.py", "crew"),
    ("campaign/stages/", "shift"),
    ("campaign/domain/", "decisions"),
    ("campaign/cli/progress.py", "progress"),
)


def subject(files: Iterator[str]) -> str:
    """What a stack is busy with.

    Args:
        files: of its frames, the innermost first.
    """
    for file in files:
        found = next((name for part, name in SUBJECTS if part in file), None)
        if found == "signing, XML" and any("campaign/wechat/answers.py" in outer for outer in files):
            return "parse"  # the envelope is opened there, and closed by the client
        if found:
            return found
    return "other"


class _InLine:
    """Stands where a crew of threads would: a job is done when it is started."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.carry_on = None
        self._results: list[Any] = []

    @property
    def running(self) -> int:
        return len(self._results)

    def start(self, job: Job[Any]) -> None:
        self._results.append(carry_out(job))

    def finished(self) -> list[Any]:
        handed, self._results = self._results, []
        return handed

    def close(self) -> None:
        pass


def main() -> int:
    file, *arguments = sys.argv[1:]
    from campaign.cli import main as campaign
    from campaign.stages import crew

    vars(crew)["ThreadCrew"] = _InLine
    samples: Counter[str] = Counter()

    def look(_signal: int, frame: FrameType | None) -> None:
        files = []
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        if any(_STAGE in file for file in files):
            samples[subject(iter(files))] += 1

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)
    try:
        return campaign(arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(json.dumps(samples))


if __name__ == "__main__":
    sys.exit(main())
