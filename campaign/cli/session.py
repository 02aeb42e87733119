"""One call of the command line: its language, its settings, and the ways in which it may speak."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from campaign.domain.mask import hide_keys, mask_inside
from campaign.errors import CampaignError, UsageError
from campaign.i18n import Speech, choose_language, language_in
from campaign.text import Text, text

if TYPE_CHECKING:
    from rich.console import Console

    from campaign.config import Settings

SCHEMA_VERSION: Final = 1

_YES: Final = frozenset({"y", "yes", "是", "好", "确认"})
#: What a terminal obeys instead of showing it, but for line end and tabulator, and what changes a text's
#: direction. Sheets, answers and names of files may hold it; Rich lets most of it through.
_OBEYED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_HIDDEN_NAMES: Final = frozenset({"api_key", "key", "password", "sign", "private_key"})


class Speaker(Protocol):
    """Whoever is told what happens meanwhile: a person at the terminal, or a log."""

    def say(self, sentence: Text, *, style: str = "") -> None:
        """Pass one sentence on."""


class Session:
    """What every command is handed (``@pass_session``). stdout is for data, stderr for people."""

    def __init__(self, args: Sequence[str], environ: Mapping[str, str]) -> None:
        """The language and ``--json`` are read ahead, since a wrong command line needs them too."""
        self._environ = environ
        self.json = "--json" in args
        self.lang: str | None = _ahead(args, "--lang")
        self.config: Path | None = None
        self.gateway_hosts: list[str] = []
        self.color = True
        self.verbosity = 0
        self._settings: Settings | None = None
        self._answered = False
        self.speech = Speech("en")
        self.speak(settings_lang=language_in(Path(_ahead(args, "--config") or "campaign.toml")))

    def speak(self, *, settings_lang: str | None = None) -> None:
        """Choose the language, for our sentences and, through the standard gettext, for click's."""
        language = choose_language(self.lang, settings_lang, self._environ)
        self.speech = Speech(language)
        os.environ["LANGUAGE"] = language

    def settings(self, beside: Path | None = None) -> Settings:
        """The settings, read once.

        Args:
            beside: the sheet, next to which ``campaign.toml`` is looked for first.

        Raises:
            SetupError: there are none, or something is wrong in them.
        """
        if self._settings is None:
            from campaign.config import find_settings, load_settings

            file = find_settings(self.config, beside=beside)
            self.speak(settings_lang=language_in(file))
            self._settings = load_settings(file, gateway_hosts=self.gateway_hosts)
        return self._settings

    @cached_property
    def console(self) -> Console:
        """stderr: progress, sentences, questions."""
        return self._console(stderr=True)

    def say(self, sentence: Text, *, style: str = "") -> None:
        """One sentence on stderr."""
        self._print(self.console, sentence, style=style or None)

    @cached_property
    def out(self) -> Console:
        """stdout, for the answer; stderr with ``--json``, where stdout is for the one object."""
        return self.console if self.json else self._console(stderr=False)

    def tell(self, sentence: Text, *, style: str = "") -> None:
        """One sentence of the answer."""
        self._print(self.out, sentence, style=style or None)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def ask(self, question: Text) -> bool:
        """Put a yes-or-no question to the person at the terminal; anything but a yes is a no.

        Raises:
            UsageError: nobody is there to answer.
        """
        if not self.interactive:
            raise UsageError(
                text(
                    "This needs a person's answer, and there is no terminal to ask on: {question}",
                    question=question,
                ),
                advice=text(
                    "Run the command in a terminal, or see its --help for the option that answers ahead."
                ),
            )
        self._print(self.console, question, end=" [y/N] ")
        return sys.stdin.readline().strip().casefold() in _YES

    def answer_json(self, answer: Mapping[str, Any], **lists: Iterable[object]) -> None:
        """The command's answer: exactly one JSON object on stdout.

        Args:
            lists: further members, written item by item: a million of them need not exist together.
        """
        assert not self._answered, "a command answers once"
        self._answered = True
        gateway = self._settings.gateway_name() if self._settings else None
        whole = {"schema_version": SCHEMA_VERSION, "gateway": gateway, **answer}
        utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
        encode = json.JSONEncoder(ensure_ascii=not utf8).encode
        write = sys.stdout.write
        write(encode(whole)[:-1])
        for name, items in lists.items():
            write(f", {encode(name)}: [")
            for at, item in enumerate(items):
                write(f", {encode(item)}" if at else encode(item))
            write("]")
        click.echo("}")

    def explain(self, error: CampaignError) -> None:
        """Tell a person what happened and what to do; with ``--json`` tell the program too.

        Openids are masked, also in what is quoted from a sheet or an answer.
        """
        message = mask_inside(self.speech.say(error.message))
        self.say(text("Error: {message}", message=message), style="bold red")
        if error.advice:
            self.say(Text("→ {advice}", {"advice": error.advice}))
        self.answer_error(
            type(error).__name__,
            error.exit_code,
            message=message,
            advice=self.speech.say(error.advice) if error.advice else "",
        )

    def answer_error(self, kind: str, exit_code: int, *, message: str, advice: str = "") -> None:
        """With ``--json``, the object that stands where the answer would have been."""
        if self.json and not self._answered:
            error = {"kind": kind, "exit_code": exit_code, "message": message, "advice": advice}
            self.answer_json({"error": error})

    def start_logging(self) -> None:
        """Logs go to stderr with ``-v`` and nowhere without; what they may not show is masked."""
        root = logging.getLogger()
        logging.captureWarnings(capture=True)
        if not self.verbosity:
            root.addHandler(logging.NullHandler())
            return
        import structlog

        stamp: list[Any] = [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=False),
        ]
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                *stamp[:2],
                stamp[3],
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=stamp,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    _masked,
                    structlog.dev.ConsoleRenderer(colors=False),
                ],
            )
        )
        root.handlers = [handler]
        root.setLevel(logging.DEBUG if self.verbosity > 1 else logging.INFO)

    def _print(self, console: Console, sentence: Text, *, style: str | None = None, end: str = "\n") -> None:
        console.print(disarmed(self.speech.say(sentence)), style=style, end=end, soft_wrap=True)

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        return Console(
            stderr=stderr, no_color=None if self.color else True, highlight=False, markup=False, emoji=False
        )


pass_session = click.make_pass_decorator(Session)


def disarmed(words: str) -> str:
    """Text that a terminal only shows: what it would obey, or turn around, is named instead."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", words)


def masked(words: str) -> str:
    """Text that may be logged: openids shortened, whatever looks like a key or a signature removed."""
    return hide_keys(mask_inside(words))


def _masked(_logger: object, _method: str, event: Any) -> Any:
    for name, value in event.items():
        event[name] = "[hidden]" if name in _HIDDEN_NAMES else _masked_value(value)
    return event


def _masked_value(value: object) -> object:
    return value if isinstance(value, int | float | None) else disarmed(masked(str(value)))


def _ahead(args: Sequence[str], option: str) -> str | None:
    """An option's value before the command line is parsed; the last one counts, as click has it."""
    found = None
    for arg, following in itertools.zip_longest(args, args[1:]):
        if arg == "--":
            break
        if arg == option:
            found = following
        elif arg.startswith(f"{option}="):
            found = arg.partition("=")[2]
    return found
