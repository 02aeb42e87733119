"""The figures for monitoring: parsed by Prometheus' own parser, whole, and without anybody's openid."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from campaign.domain.state import State
from campaign.errors import StorageError
from campaign.report.metrics import CampaignFigures, NightFigures, write_metrics

LANTERN = CampaignFigures(
    name='元宵 "2026"\n\\x',
    totals={State.RECEIVED: (3, 564), State.ACCEPTED: (1, 99_999_999_999_999)},
    needs_person=2,
    discrepancies=1,
    deadlines={"claim": 1_772_510_400.5},
)
NIGHT = NightFigures(
    gateway="rehearsal",
    campaigns=[LANTERN],
    discrepancies=4,
    bills_missing=1,
    exit_code=6,
    ended_s=1_772_510_400.0,
    succeeded_s=None,
    certificate_ends_s=1_800_000_000.0,
    notifications_failed=0,
)


def figures(path) -> dict[tuple[str, ...], float]:
    """(name, label values by label name) -> value"""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_rows_and_fen_of_every_state_to_the_fen(tmp_path):
    """A state without rows is told as zero, so that an alarm sees it fall."""
    write_metrics(tmp_path / "campaign.prom", NIGHT)
    found = figures(tmp_path / "campaign.prom")
    for state in State:
        rows, fen = LANTERN.totals.get(state, (0, 0))
        assert found["campaign_rows", LANTERN.name, "rehearsal", state.value] == rows
        assert found["campaign_fen", LANTERN.name, "rehearsal", state.value] == fen


def test_what_an_alarm_asks_for(tmp_path):
    write_metrics(tmp_path / "campaign.prom", NIGHT)
    found = figures(tmp_path / "campaign.prom")
    assert found["campaign_needs_person_rows", LANTERN.name, "rehearsal"] == 2
    assert found["campaign_discrepancies", LANTERN.name, "rehearsal"] == 1
    assert found["campaign_bill_discrepancies", "rehearsal"] == 4
    assert found["campaign_bills_missing", "rehearsal"] == 1
    assert found["campaign_night_exit_code", "rehearsal"] == 6
    assert found["campaign_night_timestamp_seconds", "rehearsal"] == 1_772_510_400.0
    assert found["campaign_certificate_end_timestamp_seconds", "rehearsal"] == 1_800_000_000.0
    claim = found["campaign_deadline_timestamp_seconds", LANTERN.name, "rehearsal", "claim"]
    assert claim == 1_772_510_400.5


def test_what_is_not_known_is_left_out(tmp_path):
    """A success that never was is not one in 1970."""
    write_metrics(tmp_path / "campaign.prom", NIGHT)
    assert "success" not in (tmp_path / "campaign.prom").read_text()


def test_the_old_file_stays_whole_until_the_new_one_is(tmp_path):
    """It is put in place by its name; nothing else is left in the folder."""
    file = tmp_path / "campaign.prom"
    file.write_text("old\n")
    with file.open() as reader:
        write_metrics(file, NIGHT)
        assert reader.read() == "old\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match="gone") as caught:
        write_metrics(tmp_path / "gone" / "campaign.prom", NIGHT)
    assert caught.value.advice is not None
