"""``campaign doctor``: does everything fit that must fit before money moves? Nothing it does moves any."""

from __future__ import annotations

import http.client
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from campaign.cli.frame import Session, answers_json, command, pass_session
from campaign.cli.gateway import client_certificate, open_gateway
from campaign.config import Settings
from campaign.domain.answer import QueryAnswer, Reach, Status
from campaign.domain.billno import mch_billno
from campaign.domain.days import MIDNIGHT_MARGIN_S, beijing_day
from campaign.errors import CampaignError, GatewayError, NoAnswer, SetupError
from campaign.ledger.store import Ledger
from campaign.ports import SystemClock
from campaign.stages.news import CERTIFICATE_WARNING_S
from campaign.text import Text, text
from campaign.wechat.answers import explain


class Mark(StrEnum):
    """What a check found; the value is the JSON's."""

    OK = "ok"
    WARNING = "warning"
    #: The settings, the certificate or the key are wrong.
    WRONG = "wrong"
    #: WeChat Pay did not answer; nothing is known to be wrong here.
    UNREACHABLE = "unreachable"
    #: Could not be tested, and nothing depends on it.
    SKIPPED = "skipped"


_SIGNS: Final = {
    Mark.OK: ("✓", "green"),
    Mark.WARNING: ("!", "yellow"),
    Mark.WRONG: ("✗", "bold red"),
    Mark.UNREACHABLE: ("✗", "bold red"),
    Mark.SKIPPED: ("-", ""),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    check: str
    mark: Mark
    message: Text
    advice: Text | None = None


@command(
    "doctor",
    help=text(
        "Test settings, certificate, key, clock and ledger, and ask WeChat Pay about a number that was never "
        "used: a harmless question whose answer proves certificate, key and signature."
    ),
    examples=("campaign doctor", "campaign doctor --config spring/campaign.toml --json"),
)
@answers_json
@pass_session
def doctor(session: Session) -> int:
    findings = []
    for finding in _examine(session):
        sign, style = _SIGNS[finding.mark]
        session.tell(Text("{sign} {message}", {"sign": sign, "message": finding.message}), style=style)
        if finding.advice:
            session.tell(Text("  → {advice}", {"advice": finding.advice}))
        findings.append(finding)
    if session.json:
        say = session.speech.say
        checks = [
            {
                "check": finding.check,
                "result": finding.mark.value,
                "message": say(finding.message),
                "advice": say(finding.advice) if finding.advice else "",
            }
            for finding in findings
        ]
        session.answer_json({"ok": exit_code(findings) == 0, "checks": checks})
    return exit_code(findings)


def exit_code(findings: list[Finding]) -> int:
    """The contract's: 4 something is wrong here, 5 WeChat Pay did not answer, 0 all well or warnings only."""
    marks = {finding.mark for finding in findings}
    return 4 if Mark.WRONG in marks else 5 if Mark.UNREACHABLE in marks else 0


def _examine(session: Session) -> Iterator[Finding]:
    settings = session.settings()
    yield Finding("settings", Mark.OK, text("Settings: {file} is in order.", file=settings.file))
    yield (key := _key(settings))
    yield (certificate := _certificate(settings))
    yield _clock(settings)
    yield _ledger(settings)
    if Mark.WRONG in (key.mark, certificate.mark):
        yield Finding(
            "gateway", Mark.SKIPPED, text("Gateway: not asked before key and certificate are right.")
        )
    else:
        yield _question(settings, session)


def _key(settings: Settings) -> Finding:
    try:
        _ = settings.merchant.api_key
    except SetupError as error:
        return _wrong("api_key", error)
    return Finding("api_key", Mark.OK, text("API key: there, 32 letters and digits."))


def _certificate(settings: Settings) -> Finding:
    try:
        certificate = client_certificate(settings)
    except SetupError as error:
        return _wrong("certificate", error)
    if certificate is None:
        return Finding("certificate", Mark.SKIPPED, text("Certificate: none is needed for this gateway."))
    left = certificate.not_after - datetime.now(UTC)
    until = beijing_day(certificate.not_after.timestamp())
    if left.total_seconds() < CERTIFICATE_WARNING_S:
        return Finding(
            "certificate",
            Mark.WARNING,
            text("Certificate: ends in {days} days, on {date}.", days=left.days, date=until),
            text("Apply for a new one on the merchant platform now; both are valid for a while."),
        )
    if settings.merchant.mch_id not in certificate.common_name:
        return Finding(
            "certificate",
            Mark.WARNING,
            text(
                "Certificate: made out to {name}, not to the merchant {mch_id}.",
                name=certificate.common_name,
                mch_id=settings.merchant.mch_id,
            ),
            text("Check that certificate and mch_id belong to one merchant."),
        )
    return Finding("certificate", Mark.OK, text("Certificate: valid until {date}, with its key.", date=until))


def _clock(settings: Settings) -> Finding:
    """WeChat Pay's days and deadlines follow its clock; ours may be a minute off (`MIDNIGHT_MARGIN_S`)."""
    if settings.gateway.is_rehearsal:
        return Finding("clock", Mark.SKIPPED, text("Clock: the rehearsal uses this machine's."))
    theirs = gateway_clock_s(settings.gateway.urls[0], timeout_s=settings.gateway.connect_timeout_s)
    if theirs is None:
        return Finding("clock", Mark.SKIPPED, text("Clock: the gateway did not tell its time."))
    off_s = SystemClock().now_s() - theirs
    if abs(off_s) > MIDNIGHT_MARGIN_S:
        return Finding(
            "clock",
            Mark.WARNING,
            text("Clock: this machine is {seconds} seconds off the gateway's time.", seconds=round(off_s)),
            text("Switch on the machine's time service (NTP): daily limits and deadlines follow the clock."),
        )
    return Finding("clock", Mark.OK, text("Clock: agrees with the gateway's."))


def gateway_clock_s(url: str, *, timeout_s: float) -> float | None:
    """The gateway's time by its HTTP ``Date``, in Unix seconds; None where it tells none.

    The question carries no certificate and no secret, so what answers need not be trusted.
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        connection.request("HEAD", "/")
        return parsedate_to_datetime(connection.getresponse().headers["Date"]).timestamp()
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        return None
    finally:
        connection.close()


def _ledger(settings: Settings) -> Finding:
    path = settings.ledger_path()
    try:
        ledger = Ledger.open_existing(
            path, merchant=settings.merchant.mch_id, gateway=settings.ledger_gateway(), clock=SystemClock()
        )
    except CampaignError as error:
        return _wrong("ledger", error)
    if ledger is None:
        return Finding("ledger", Mark.OK, text("Ledger: {file} will be made by the first run.", file=path))
    with ledger:
        count = len(ledger.campaigns())
    return Finding(
        "ledger", Mark.OK, text("Ledger: {file} is whole; campaigns: {count}.", file=path, count=count)
    )


def _question(settings: Settings, session: Session) -> Finding:
    """R8: NOT_FOUND for a number of our own that was never used proves certificate, key and signature."""
    never_used = mch_billno(
        mch_id=settings.merchant.mch_id, campaign_id="doctor", row_key=secrets.token_hex(16)
    )
    try:
        with open_gateway(settings, session) as gateway:
            return judge(gateway.asking(never_used).now(), gateway_name=settings.gateway_name())
    except SetupError as error:
        return _wrong("gateway", error)
    except GatewayError as error:
        advice = error.advice
        if isinstance(error, NoAnswer):
            advice = text(
                "Try again; if it stays so, WeChat Pay may be refusing the certificate without a word."
            )
        return Finding("gateway", Mark.UNREACHABLE, text("Gateway: {message}", message=error.message), advice)


def judge(answer: QueryAnswer, *, gateway_name: str) -> Finding:
    """What the answer to the harmless question proves."""
    if answer.status is Status.NOT_FOUND:
        return Finding(
            "gateway",
            Mark.OK,
            text("Gateway: {name} accepts certificate, key and signature.", name=gateway_name),
        )
    if answer.status is not None:
        return Finding(
            "gateway",
            Mark.WARNING,
            text("Gateway: {name} knows an order under a number that was never used.", name=gateway_name),
            text(
                "Something between here and WeChat Pay answers in its place: check gateway.url and proxies."
            ),
        )
    known = explain(answer.err_code)
    return Finding(
        "gateway",
        Mark.WRONG if answer.reach is Reach.ABORT else Mark.UNREACHABLE,
        text("Gateway: {code}: {cause}", code=answer.err_code or "?", cause=known.cause),
        known.advice,
    )


def _wrong(check: str, error: CampaignError) -> Finding:
    return Finding(check, Mark.WRONG, error.message, error.advice)
