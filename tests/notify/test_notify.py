"""Telling people: over a real socket to a receiver on loopback, as robots and webhooks are told."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from campaign.config import load_settings
from campaign.notify import BODY_BYTES_MAX, Message, Told, Topic, tell
from campaign.text import text

TITLE = text("Run of campaign {campaign}", campaign="lantern")
DONE = Message(Topic.FINISHED, text("done"))
HALT = Message(Topic.HALTED, text("halted"))


class Receiver:
    """What a webhook got, and how it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        self.url = ""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.paths.append(self.path)
            receiver.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"json://127.0.0.1:{server.server_port}/robot"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Callable[..., object]:
    """Settings with these lines under [notify]."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(*lines: str, gateway: str = "http://127.0.0.1:1"):
        file = tmp_path / "campaign.toml"
        file.write_text(
            '[merchant]\nmch_id = "1900000109"\nwxappid = "wx0123456789abcdef"\n'
            'api_key = "Abcdefghijklmnopqrstuvwxyz012345"\n'
            f'[gateway]\nurl = "{gateway}"\n[limits]\ncampaign_yuan = "5"\n[notify]\n' + "\n".join(lines)
        )
        file.chmod(0o600)
        return load_settings(file)

    return make


def test_an_address_gets_title_and_lines(receiver, settings):
    assert tell(settings(f'urls = ["{receiver.url}"]'), [DONE, HALT], title=TITLE) == Told(sent=1)
    [got] = receiver.got
    assert (got["title"], got["message"]) == ("Run of campaign lantern", "done\nhalted")


@pytest.mark.parametrize(
    "messages, kind",
    [([DONE], "success"), ([DONE, HALT], "failure"), ([Message(Topic.DEADLINES, text("soon"))], "warning")],
)
def test_the_worst_of_the_messages_gives_the_colour(receiver, settings, messages, kind):
    tell(settings(f'urls = ["{receiver.url}"]'), messages, title=TITLE)
    assert receiver.got[0]["type"] == kind


def test_only_what_somebody_wants_to_hear_is_told(receiver, settings):
    told = settings(f'urls = ["{receiver.url}"]', 'on = ["halted"]')
    assert tell(told, [DONE], title=TITLE) == Told()
    assert tell(told, [DONE, HALT], title=TITLE) == Told(sent=1)
    assert [got["message"] for got in receiver.got] == ["halted"]


def test_without_addresses_nothing_is_told_and_the_library_is_not_even_imported(settings, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    assert tell(settings(), [HALT], title=TITLE) == Told()


def test_without_the_library_the_install_command_is_named(settings, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    [failure] = tell(settings('urls = ["json://127.0.0.1:1"]'), [HALT], title=TITLE).failures
    assert 'pip install "campaign[notify]"' in str(failure)


def test_people_are_told_in_their_own_language(receiver, settings):
    tell(settings(f'urls = ["{receiver.url}"]', 'lang = "zh"'), [DONE], title=text("rows"))
    assert receiver.got[0]["title"] == "行数"


def test_a_rehearsal_says_so(receiver, settings):
    """Nobody is to believe that money moved."""
    tell(settings(f'urls = ["{receiver.url}"]', gateway="rehearsal"), [DONE], title=TITLE)
    assert receiver.got[0]["title"].startswith("REHEARSAL: ")


def test_one_failing_address_fails_alone(receiver, settings, monkeypatch):
    """Refused, unreachable, unknown to the library, or not to be found: the others are told."""
    monkeypatch.delenv("NO_ROBOT", raising=False)
    with receiving() as refusing:
        refusing.status = 500
        urls = [refusing.url, "json://127.0.0.1:1/", "mumble", "env:NO_ROBOT", receiver.url]
        told = tell(settings(f"urls = {json.dumps(urls)}"), [DONE], title=TITLE)
    assert told.sent == len(receiver.got) == 1
    said = [str(failure) for failure in told.failures]
    assert [words.split(" ", 2)[1] for words in said] == ["1", "2", "3", "4"]
    assert "NO_ROBOT" in said[3]


def test_a_bug_in_a_plugin_stops_nobody(settings, monkeypatch):
    import apprise

    def broken(*args: object, **kwargs: object) -> bool:
        raise KeyError("token")

    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    [failure] = tell(settings('urls = ["json://127.0.0.1:1"]'), [DONE], title=TITLE).failures
    assert "KeyError" in str(failure)


SECRET = "0f1e2d3c-robot-key-4b5a"


@pytest.mark.parametrize("status", [200, 500])
def test_an_address_never_reaches_a_log_an_error_or_a_repr(receiver, settings, monkeypatch, caplog, status):
    """A robot's address is its key. The libraries log it when they are asked for their debug lines."""
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    receiver.status = status
    monkeypatch.setenv("ROBOT", f"{receiver.url}/{SECRET}")
    chosen = settings('urls = ["env:ROBOT", "mumble://' + SECRET + '"]')
    told = tell(chosen, [DONE], title=TITLE)
    assert receiver.paths == [f"/robot/{SECRET}"]
    assert SECRET not in caplog.text + repr(told) + repr(chosen) + str(told.failures)
    assert "Address 2 of [notify] urls" in caplog.text
    assert logging.getLogger("urllib3").level == logging.NOTSET, "as it was before"


def test_a_long_text_is_cut_at_a_line_and_says_so(receiver, settings):
    """The narrowest robot takes 2048 bytes; a Chinese character has three."""
    lines = [Message(Topic.HALTED, text("{n}: {words}", n=n, words="红包" * 20)) for n in range(50)]
    tell(settings(f'urls = ["{receiver.url}"]'), lines, title=TITLE)
    body = receiver.got[0]["message"]
    *whole, last = body.split("\n")
    assert BODY_BYTES_MAX - 150 < len(body.encode()) <= BODY_BYTES_MAX
    assert whole == [f"{n}: {'红包' * 20}" for n in range(len(whole))]
    assert last == f"… and {50 - len(whole)} more; `campaign status` tells all."


def test_one_endless_line_is_not_sent_in_pieces(receiver, settings):
    tell(settings(f'urls = ["{receiver.url}"]'), [Message(Topic.HALTED, text("x" * 5000))], title=TITLE)
    assert len(receiver.got) == 1
    assert len(receiver.got[0]["message"]) < BODY_BYTES_MAX
