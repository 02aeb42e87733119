"""A gateway for the whole session, and a desk of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.world import HereDesk, Served, openid, served, warm_pace


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def gateway(_served: Served) -> Iterator[Served]:
    """`campaign rehearsal serve`, in a process of its own; every test finds it without faults."""
    yield _served
    if _served.faults:
        _served.set_faults({})


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_pace(tmp_path_factory.mktemp("pace") / "sends.pace")


@pytest.fixture
def make_desk(
    tmp_path: Path,
    gateway: Served,
    warm: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., HereDesk]:
    """Another desk: another folder of the same operator on the same machine, or of another one."""

    def make(name: str, **options: object) -> HereDesk:
        desk = HereDesk(tmp_path / name, gateway, monkeypatch=monkeypatch, capfd=capfd)
        desk.state = tmp_path / "state"
        desk.lends_pace(warm)
        return desk

    return make


@pytest.fixture
def desk(make_desk: Callable[..., HereDesk]) -> HereDesk:
    """A merchant's folder with settings for the gateway."""
    return make_desk("desk")


@pytest.fixture
def person(tmp_path: Path) -> Callable[[int], str]:
    """People whom no other test knows."""
    serial = abs(hash(str(tmp_path))) % 10**10
    return lambda number: openid(number, f"P{serial:010d}")


@pytest.fixture
def people(person: Callable[[int], str]) -> list[tuple[str, str]]:
    """Six rows: 1.01, 1.02 … yuan."""
    return [(person(n), f"1.{n:02d}") for n in range(1, 7)]
