"""The figures of a night run for monitoring, in Prometheus' text form; openids and secrets have no place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaign.domain.state import State
from campaign.errors import SetupError, StorageError
from campaign.text import text


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFigures:
    """One campaign. Times are Unix seconds."""

    name: str
    #: state -> (rows, fen)
    totals: Mapping[State, tuple[int, int]]
    needs_person: int
    discrepancies: int
    #: Kind -> when the first rows get there.
    deadlines: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightFigures:
    """One night."""

    gateway: str
    campaigns: Sequence[CampaignFigures]
    #: Of the bills' lines that belong to no row.
    discrepancies: int
    bills_missing: int
    exit_code: int
    ended_s: float
    succeeded_s: float | None
    certificate_ends_s: float | None
    notifications_failed: int


def write_metrics(path: Path, night: NightFigures) -> None:
    """Write the file for node_exporter's textfile collector or the like; readers never see half of it.

    Raises:
        StorageError: it cannot be written.
        SetupError: the library is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
    except ImportError:
        raise SetupError(
            text("--metrics needs the library prometheus-client, which is not installed."),
            advice=text('Install it with pip install "campaign[night]".'),
        ) from None
    registry = CollectorRegistry()

    def gauge(name: str, says: str, *labels: str) -> Gauge:
        return Gauge(f"campaign_{name}", says, ("gateway", *labels), registry=registry)

    rows = gauge("rows", "Rows of a campaign by state.", "campaign", "state")
    fen = gauge("fen", "Money of a campaign by state, in fen.", "campaign", "state")
    needs = gauge("needs_person_rows", "Rows that need a person.", "campaign")
    wrong = gauge("discrepancies", "Differences between ledger and funds bills.", "campaign")
    cliff = gauge("deadline_timestamp_seconds", "When the next rows reach a deadline.", "campaign", "kind")
    for each in night.campaigns:
        for state in State:
            count, money = each.totals.get(state, (0, 0))
            rows.labels(night.gateway, each.name, state.value).set(count)
            fen.labels(night.gateway, each.name, state.value).set(money)
        needs.labels(night.gateway, each.name).set(each.needs_person)
        wrong.labels(night.gateway, each.name).set(each.discrepancies)
        for kind, at_s in each.deadlines.items():
            cliff.labels(night.gateway, each.name, kind).set(at_s)
    for name, says, value in (
        ("bill_discrepancies", "Findings in funds bills about lines of no row.", night.discrepancies),
        ("bills_missing", "Days whose funds bill could not be fetched yet.", night.bills_missing),
        ("night_exit_code", "How the last night run ended: its exit code.", night.exit_code),
        ("night_timestamp_seconds", "When the last night run ended.", night.ended_s),
        ("night_success_timestamp_seconds", "When the last one without a failure did.", night.succeeded_s),
        ("certificate_end_timestamp_seconds", "When the certificate ends.", night.certificate_ends_s),
        ("notifications_failed", "Addresses that could not be told last night.", night.notifications_failed),
    ):
        if value is not None:
            gauge(name, says).labels(night.gateway).set(value)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise StorageError(
            text("{file} could not be written: {why}", file=path, why=error.strerror or error),
            advice=text("Make its folder, let this user write there, or name another file with --metrics."),
        ) from error
