"""Telling people, wherever they read: robots of WeCom, DingTalk and Feishu, e-mail, webhooks.

Apprise carries the messages. Their addresses hold keys, so nothing here, nor in the libraries below, may
log one. Nobody's failing robot stops a run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from campaign.config import Settings
from campaign.config.secret import resolve
from campaign.errors import SetupError
from campaign.i18n import Speech, choose_language
from campaign.text import Text, text

if TYPE_CHECKING:
    from apprise import NotifyType

#: What the narrowest of the robots takes (WeCom: 2048 bytes), less room for the title.
BODY_BYTES_MAX: Final = 1800
#: These log addresses, keys included, when asked to log at all.
_TALKATIVE: Final = ("apprise", "urllib3", "requests")

_log = logging.getLogger(__name__)


class Topic(StrEnum):
    """What a message is about; the value stands in ``[notify] on``."""

    FINISHED = "finished"
    HALTED = "halted"
    DISCREPANCIES = "discrepancies"
    DEADLINES = "deadlines"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. Openids are masked, or rather left out."""

    topic: Topic
    sentence: Text


@dataclass(frozen=True, slots=True)
class Told:
    """How many addresses took the messages, and why the others did not."""

    sent: int = 0
    failures: tuple[Text, ...] = ()

    @property
    def nobody(self) -> bool:
        """Whether there was something to tell, and no address took it."""
        return bool(self.failures) and not self.sent


def tell(settings: Settings, messages: Sequence[Message], *, title: Text) -> Told:
    """Send what ``[notify]`` asks for, as one text to each address. Never raises for an address's sake.

    Args:
        title: of the text, such as what ran.
    """
    wanted = [message for message in messages if message.topic.value in settings.notify.on]
    if not wanted or not settings.notify.urls:
        return Told()
    speech = Speech(choose_language(settings.notify.lang, settings.campaign.lang, os.environ))
    body = _body([speech.say(message.sentence) for message in wanted], speech)
    if settings.gateway.is_rehearsal:
        title = text("REHEARSAL: {title}", title=title)
    failures = []
    for number, url in enumerate(settings.notify.urls, start=1):
        failure = _send(url, speech.say(title), body, wanted)
        if failure is not None:
            # Which one is told by its number: what it says is a secret.
            failures.append(
                text("Address {number} of [notify] urls was not told: {why}", number=number, why=failure)
            )
            _log.warning("%s", failures[-1])
    return Told(sent=len(settings.notify.urls) - len(failures), failures=tuple(failures))


def _send(url: SecretStr, title: str, body: str, messages: Sequence[Message]) -> Text | None:
    """Why the address did not take the text; None where it did."""
    try:
        from apprise import Apprise, NotifyFormat
    except ImportError:
        return text('the library Apprise is not installed: pip install "campaign[notify]".')
    with _silenced():
        try:
            robot = Apprise()
            if not robot.add(resolve(url, key=Text("[notify] urls")).get_secret_value()):
                return text("it is no address that Apprise understands.")
            taken = robot.notify(
                body=body, title=title, notify_type=_kind(messages), body_format=NotifyFormat.TEXT
            )
        except SetupError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - a plugin's bug is not ours, and may not stop a run
            return text("Apprise failed ({kind}).", kind=type(error).__name__)
    return None if taken else text("it cannot be reached, or did not take the message.")


def _kind(messages: Sequence[Message]) -> NotifyType:
    from apprise import NotifyType

    topics = {message.topic for message in messages}
    if Topic.HALTED in topics:
        return NotifyType.FAILURE
    return NotifyType.SUCCESS if topics == {Topic.FINISHED} else NotifyType.WARNING


def _body(lines: Sequence[str], speech: Speech) -> str:
    """The lines that fit, and how many did not."""
    body = "\n".join(lines)
    shown = len(lines)
    while len(body.encode()) > BODY_BYTES_MAX and shown:
        shown -= 1
        more = speech.say(text("… and {more} more; `campaign status` tells all.", more=len(lines) - shown))
        body = "\n".join([*lines[:shown], more])
    return body


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the libraries from logging the addresses, however talkative this command was told to be."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
