"""One night run with the real things: gateway, bills, reports, log, metrics, and whom to tell."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, TextIO, cast

from campaign.cli.answers import EXIT_DONE, EXIT_INTERRUPTED, EXIT_NEEDS_PERSON, as_json, exit_code, tell
from campaign.cli.desk import Stop, open_desk
from campaign.cli.gateway import client_certificate, open_bills, open_gateway
from campaign.cli.names import existing_ledger, other_ledgers
from campaign.cli.session import Session, masked
from campaign.cli.status import deadlines_json, tell_deadlines
from campaign.config import Settings
from campaign.domain.bill import Bill
from campaign.domain.days import rfc3339
from campaign.domain.finding import Finding
from campaign.errors import CampaignError, Conflict, NotFinished, SetupError
from campaign.ledger.lock import try_hold
from campaign.ledger.nights import Memory, hold_night
from campaign.ledger.store import Ledger
from campaign.notify import Told
from campaign.notify import tell as tell_people
from campaign.ports import Clock
from campaign.report.files import report_path
from campaign.report.metrics import CampaignFigures, NightFigures, write_metrics
from campaign.stages.match import match
from campaign.stages.news import of_night
from campaign.stages.night import CampaignNight, Log, Night, Watch, night
from campaign.stages.report import FORMATS, write_report
from campaign.stages.shift import Desk
from campaign.text import Text, text

#: Beside the settings, where the operator does not say otherwise.
REPORTS: Final = "reports"
#: The contract's codes for what went wrong, the one that counts first; a refused bill is for a person.
_FAILURES: Final = (Conflict.exit_code, SetupError.exit_code, NotFinished.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a night's answers go; absolute."""

    reports: Path
    metrics: Path | None = None
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A night that has ended, and what was told of it."""

    night: Night
    told: Told
    started_s: float
    ended_s: float
    exit_code: int


def run_night(session: Session, settings: Settings, clock: Clock, stop: Stop, places: Places) -> Ended:
    """Do one night's work.

    Raises:
        CampaignHeld: another night run is at work.
        SetupError, StorageError, LedgerRefused: there is no beginning without ledger and log.
    """
    started_s = clock.now_s()
    with ExitStack() as stack:
        log = stack.enter_context(open_log(None, clock))  # until there is the one that is wanted
        try:
            log = stack.enter_context(open_log(places.log, clock))
            with hold_night(settings.ledger_path()):
                ended = _run(session, settings, clock, stop, places, log, started_s=started_s)
        except Exception as error:
            tell_refused(settings, error, clock, log)
            raise
        log.info(
            "night_ended",
            exit_code=ended.exit_code,
            seconds=round(ended.ended_s - started_s, 3),
            failures=len(ended.night.failures),
            findings=len(ended.night.findings),
        )
    return ended


def tell_refused(settings: Settings, error: Exception, clock: Clock, log: Log) -> None:
    """Note why a night did not begin, or not end, and tell people: at night nobody sees an exit code."""
    kind = type(error).__name__
    if isinstance(error, CampaignError):
        log.error("night_refused", kind=kind, why=str(error))
    else:
        log.error("night_refused", kind=kind, why="".join(traceback.format_exception(error)))
        # Only its kind: what else it says was not written for strangers.
        error = CampaignError(
            text("The night run broke off ({kind}).", kind=kind),
            advice=text("`campaign schedule now` tries again and says more; so does the log."),
        )
    _tell(settings, Night(failures=[error]), clock, log)


def _run(
    session: Session,
    settings: Settings,
    clock: Clock,
    stop: Stop,
    places: Places,
    log: Log,
    *,
    started_s: float,
) -> Ended:
    """The night itself, then whoever wants to know of it."""
    path = settings.ledger_path()
    memory = Memory.read(path)
    result = Night()
    with existing_ledger(settings, clock) as ledger:
        if ledger is not None:
            # What is kept is no news to the next night, so a kill before it is told leaves this.
            replace(memory, untold=True).write(path)
            result = night(_watch(session, settings, ledger, clock, stop, places, log), memory)
    certificate_ends_s = _certificate_ends_s(settings)
    told = _tell(settings, result, clock, log, certificate_ends_s=certificate_ends_s)
    if ledger is not None:
        memory.untold |= told.nobody
        memory.write(path)
    ended = Ended(
        night=result,
        told=told,
        started_s=started_s,
        ended_s=clock.now_s(),
        exit_code=night_exit_code(result),
    )
    if places.metrics:
        write_metrics(places.metrics, _figures(settings, ended, memory, certificate_ends_s))
    return ended


def night_exit_code(night: Night) -> int:
    """The contract's exit code: what stopped the work wins over what is left of it."""
    codes = {error.exit_code for error in night.failures}
    codes.add(exit_code((each.standing for each in night.campaigns), interrupted=night.interrupted))
    if EXIT_INTERRUPTED in codes:
        return EXIT_INTERRUPTED
    stands = any(each.discrepancies or each.findings for each in night.campaigns)
    found = codes - {EXIT_DONE} or not night.bill.clean or stands
    return next((code for code in _FAILURES if code in codes), EXIT_NEEDS_PERSON if found else EXIT_DONE)


def _watch(
    session: Session,
    settings: Settings,
    ledger: Ledger,
    clock: Clock,
    stop: Stop,
    places: Places,
    log: Log,
) -> Watch:
    speaker = _LogSpeaker(log)

    @contextmanager
    def hold(campaign: str) -> Iterator[bool]:
        with try_hold(settings.ledger_path(), campaign) as held:
            if not held:
                log.info("asking_only", campaign=campaign, why="a run is at work")
            yield held

    @contextmanager
    def desk() -> Iterator[Desk]:
        with (
            open_gateway(settings, speaker) as wire,
            other_ledgers(settings, clock, only_asks=True) as others,
            open_desk(settings, ledger, wire, clock, stop, other_ledgers=others.while_spending) as opened,
        ):
            yield opened

    @contextmanager
    def bills() -> Iterator[Callable[[date], list[Bill]]]:
        with open_bills(settings, speaker) as client:
            yield lambda day: [
                client.bill(day, account, now_s=clock.now_s()) for account in settings.bill.accounts
            ]

    def report(campaign: str) -> list[Path]:
        return write_report(
            ledger,
            campaign,
            out=places.reports,
            say=session.speech.say,
            gateway=settings.gateway_name(),
            merchant=settings.merchant.mch_id,
            clock=clock,
            force=True,
            lang=session.speech.language,
        )

    return Watch(
        ledger=ledger,
        clock=clock,
        log=log,
        hold=hold,
        desk=desk,
        bills=bills if settings.bill.nightly == "match" else None,
        match=lambda campaign, found: match(
            ledger, campaign, found, names=settings.bill.names(), mch_id=settings.merchant.mch_id
        ),
        report=report,
        has_report=lambda campaign: all(
            report_path(places.reports, campaign, kind).exists() for kind in FORMATS
        ),
        stopped=stop.asked,
    )


def _certificate_ends_s(settings: Settings) -> float | None:
    try:
        certificate = client_certificate(settings)
    except SetupError:  # whoever needs it says so: without it nothing can be asked
        return None
    return certificate.not_after.timestamp() if certificate else None


def _tell(
    settings: Settings, night: Night, clock: Clock, log: Log, *, certificate_ends_s: float | None = None
) -> Told:
    """Tell whom ``[notify]`` names what became of the night; the log has who was told."""
    messages = of_night(night, now_s=clock.now_s(), certificate_ends_s=certificate_ends_s)
    title = text("Night run of merchant {mch_id}", mch_id=settings.merchant.mch_id)
    told = tell_people(settings, messages, title=title)
    if told.sent:
        log.info("told", addresses=told.sent)
    for failure in told.failures:
        log.error("not_told", why=str(failure))
    return told


# The log


class _LogSpeaker:
    """Lets what is said meanwhile stand in the log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def say(self, sentence: Text, *, style: str = "") -> None:  # noqa: ARG002 - a person's colours
        self._log.info("said", message=str(sentence))


@contextmanager
def open_log(path: Path | None, clock: Clock) -> Iterator[Log]:
    """One JSON object a line, on stderr or appended to a file; openids, and what looks like a key, masked."""
    with _stream(path) as stream:
        import structlog

        def stamped(
            _logger: object, _method: str, event: MutableMapping[str, Any]
        ) -> MutableMapping[str, Any]:
            return {"at": rfc3339(clock.now_s()), **event}

        yield cast(
            Log,
            structlog.wrap_logger(
                _Lines(stream),
                processors=[
                    structlog.processors.add_log_level,
                    stamped,
                    _hidden,
                    structlog.processors.JSONRenderer(),
                ],
                wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            ),
        )


def _stream(path: Path | None) -> AbstractContextManager[TextIO]:
    if path is None:
        return _borrowed(sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No buffer, from which a line that had no room would be written once more at the end.
    file = io.FileIO(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")
    return io.TextIOWrapper(file, encoding="utf-8", write_through=True)


class _Lines:
    """Writes the log. A line for which its disk has no room is lost, since the night's work must not wait."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def info(self, line: str) -> None:
        """One line, in one piece: another process may write to the same file."""
        with suppress(OSError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    error = info


@contextmanager
def _borrowed(stream: TextIO) -> Iterator[TextIO]:
    yield stream


def _hidden(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}


# The answer


def answer(ended: Ended, session: Session) -> None:
    """Tell how the night went: one JSON object, or people."""
    if session.json:
        session.answer_json(_json(ended, session))
        return
    for each in ended.night.campaigns:
        tell(each.standing, session)
        tell_deadlines(each.deadlines, session)
        for finding in each.findings:
            _tell_finding(finding, session)
        for file in each.files:
            session.tell(text("Written: {file}", file=str(file)))
    for finding in ended.night.bill.findings:
        _tell_finding(finding, session)
    for each_break in ended.night.bill.breaks:
        session.tell(
            text(
                "{file}, line {line}: {reason}.",
                file=each_break.file,
                line=each_break.line,
                reason=each_break.reason,
            )
        )
    if not ended.night.campaigns:
        session.tell(text("No campaign was run yet."))
    for error in ended.night.failures:
        session.say(text("Error: {message}", message=error.message), style="bold red")
        if error.advice:
            session.say(Text("→ {advice}", {"advice": error.advice}))
    for failure in ended.told.failures:
        session.say(failure, style="yellow")


def _tell_finding(finding: Finding, session: Session) -> None:
    session.tell(
        text("{reason}.\n    Next step: {advice}.", reason=finding.reason, advice=finding.advice),
        style="yellow",
    )


def _json(ended: Ended, session: Session) -> dict[str, object]:
    night = ended.night
    return {
        "started": rfc3339(ended.started_s),
        "ended": rfc3339(ended.ended_s),
        "exit_code": ended.exit_code,
        "interrupted": night.interrupted,
        "campaigns": [
            as_json(each.standing, session, unmask=False)
            | {
                "deadlines": deadlines_json(each.deadlines),
                "questions": each.questions,
                "repeats": each.repeats,
                "findings": [_finding_json(finding, session) for finding in each.findings],
                "discrepancies": each.discrepancies,
                "files": [str(file) for file in each.files],
            }
            for each in night.campaigns
        ],
        "bill": {
            "days": [day.isoformat() for day in night.bill.days],
            "missing": [day.isoformat() for day in night.bill.missing],
            "findings": [_finding_json(finding, session) for finding in night.bill.findings],
            "breaks": [
                {"file": each.file, "line": each.line, "reason": session.speech.say(each.reason)}
                for each in night.bill.breaks
            ],
            "flawed": night.bill.flawed,
        },
        "failures": [_failure_json(error, session) for error in night.failures],
        "notified": {
            "sent": ended.told.sent,
            "failed": [session.speech.say(failure) for failure in ended.told.failures],
        },
    }


def _finding_json(finding: Finding, session: Session) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "owner": finding.owner.value,
        "reason": session.speech.say(finding.reason),
        "advice": session.speech.say(finding.advice),
        "since": rfc3339(finding.since_s),
        "mch_billno": finding.entry.mch_billno if finding.entry else None,
    }


def _failure_json(error: CampaignError, session: Session) -> dict[str, object]:
    return {
        "kind": type(error).__name__,
        "exit_code": error.exit_code,
        "message": session.speech.say(error.message),
        "advice": session.speech.say(error.advice) if error.advice else "",
    }


def _figures(
    settings: Settings, ended: Ended, memory: Memory, certificate_ends_s: float | None
) -> NightFigures:
    night = ended.night
    return NightFigures(
        gateway=settings.gateway_name(),
        campaigns=[_campaign_figures(each) for each in night.campaigns],
        discrepancies=len(night.bill.findings) + len(night.bill.breaks) + len(night.bill.flawed),
        bills_missing=len(night.bill.missing),
        exit_code=ended.exit_code,
        ended_s=ended.ended_s,
        succeeded_s=memory.succeeded_s,
        certificate_ends_s=certificate_ends_s,
        notifications_failed=len(ended.told.failures),
    )


def _campaign_figures(each: CampaignNight) -> CampaignFigures:
    return CampaignFigures(
        name=each.standing.campaign.name,
        totals=each.standing.totals,
        needs_person=len(each.standing.needs),
        discrepancies=each.discrepancies,
        deadlines={deadline.cliff.value: deadline.at_s for deadline in each.deadlines},
    )
