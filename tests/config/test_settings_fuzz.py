"""Whatever stands in a settings file: settings that hold together, or one error that a person can act on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.config import load_settings
from campaign.config.model import Settings
from campaign.errors import SetupError
from tests.acceptance.world import toml

KEY = "Abcdefghijklmnopqrstuvwxyz012345"
SAMPLE = Path(__file__).parents[2] / "sample_campaigns" / "campaign.toml"
REAL: dict[str, dict[str, Any]] = {
    "campaign": {"title": "灯会", "lang": "en"},
    "merchant": {
        "mch_id": "1900000109",
        "wxappid": "wx0123456789abcdef",
        "api_key": KEY,
        "certificate": "c.pem",
        "private_key": "k.pem",
    },
    "gateway": {"url": "https://127.0.0.1:8443", "sends_per_second": 20, "workers": 16},
    "packet": {"send_name": "天虹百货", "wishing": "祝您元宵节快乐!"},
    "columns": {"who": "re_openid"},
    "limits": {"campaign_yuan": "5000.00", "in_doubt_yuan": "2000.00"},
    "breaker": {"consecutive": 5},
    "timing": {"doubt_ask_s": 1.0, "poll_s": [60, 1200]},
    "parked": {"repeat": "ask"},
    "ledger": {"url": "sqlite:///campaign.db"},
    "bill": {"account": "Operation"},
    "notify": {"urls": ["env:HOOK"]},
    "rehearsal": {"seed": 1, "time_scale": 1.0},
}
#: Every table with every key that it may have.
KEYS = {
    table: sorted(getattr(field.annotation, "model_fields", {})) or ["x"]
    for table, field in Settings.model_fields.items()
}

STRANGE = [
    "",
    "rehearsal",
    "https://api.mch.weixin.qq.com",
    "http://[::1",
    "http://[x]/",
    "//",
    "file:",
    "env:",
    "keyring:",
    "sqlite:///",
    "sqlite://",
    "postgresql://h/d",
    "0.00",
    "1e400",
    "1_000",
    "-1",
    "\x00",
    "../../x",
    "/etc/passwd",
    "2026-01-01",
    "NaN",
    "Infinity",
    "1.005",
    "9" * 5000,
]
scalars = (
    st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)
    | st.sampled_from(STRANGE)
)
values = scalars | st.lists(scalars, max_size=3)


@pytest.fixture(autouse=True)
def only_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CAMPAIGN_")]:
        monkeypatch.delenv(name)


def check(folder: Path, content: str | bytes) -> None:
    """Load it; what holds has to answer whatever the program asks it, and an error never tells the key."""
    file = folder / "campaign.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    file.chmod(0o600)
    try:
        settings = load_settings(file)
    except SetupError as error:
        refused = error
    else:
        holds_together(settings)
        return
    assert refused.advice is not None
    assert KEY not in f"{refused} {refused.advice} {refused!r} {refused.__cause__ or ''}"


def holds_together(settings: Settings) -> None:
    """What the program asks of its settings has an answer."""
    limits = settings.limits.as_limits()
    assert limits.in_doubt_fen > 0
    assert limits.campaign_fen > 0
    assert settings.policy().not_found_repeat_s > 0
    assert settings.breaker.as_policy().consecutive > 0
    assert settings.sender().mch_id.isdigit()
    assert settings.gateway.sends_per_second > 0
    assert settings.ledger_path().is_absolute()
    assert settings.gateway_name()
    assert settings.ledger_gateway()
    assert KEY not in f"{settings!r} {settings}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """The real settings with a few keys set to strange values, or left out."""
    tables = {name: dict(table) for name, table in REAL.items()}
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(sorted(KEYS)))
        key = draw(st.sampled_from(KEYS[table]))
        if draw(st.booleans()):
            tables.setdefault(table, {})[key] = draw(values)
        else:
            tables.get(table, {}).pop(key, None)
    return toml(tables)


def test_the_settings_that_are_changed_below_hold_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "campaign.toml"
    file.write_text(toml(REAL), encoding="utf-8")
    file.chmod(0o600)
    load_settings(file)


@given(content=documents())
def test_any_value_of_any_key_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    check(tmp_path_factory.getbasetemp(), content)


@given(data=st.data())
def test_a_few_bytes_changed_in_the_sample_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """As an editor, a disk or a cat on the keyboard changes them."""
    content = bytearray(SAMPLE.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40]))
        piece = st.binary(max_size=4) | st.sampled_from([b'"', b"[", b"]", b"\n", b"=", b"'''", b"\\u0000"])
        content[at : at + length] = data.draw(piece)
    check(tmp_path_factory.getbasetemp(), bytes(content))


@given(content=st.binary(max_size=200))
@example(content=b"\xef\xbb\xbf")
@example(content=b"\xff\xfe")
@example(content=b"x = " + b"[" * 5000)
@example(content=b"a." * 400 + b"a = 1")
@example(content=b"x = 1e99999999999999999999999")
@example(content=b"x = " + b"9" * 5000)
def test_any_bytes_are_settings_or_one_setup_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    check(tmp_path_factory.getbasetemp(), content)
