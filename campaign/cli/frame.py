"""The pieces every command is made of: options that stand anywhere, and help in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from campaign import __version__
from campaign.cli.session import Session, pass_session
from campaign.i18n import Speech
from campaign.text import Text, display_width, text

__all__ = [
    "Command",
    "Group",
    "Option",
    "Session",
    "answers_json",
    "command",
    "group",
    "option",
    "pass_session",
    "wrapped",
]

_WIDTH_MAX: Final = 100


class Option(click.Option):
    """An option whose help is a `Text`."""

    def __init__(self, *args: Any, sentence: Text | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sentence = sentence

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        if self.sentence:
            self.help = _speech(ctx).say(self.sentence)
        return super().get_help_record(ctx)


def option(
    *declarations: str,
    help: Text,  # noqa: A002 - click's own word
    **attributes: Any,
) -> Callable[[Any], Any]:
    """``click.option`` in the reader's language: ``@option("--yes", is_flag=True, help=text("…"))``."""
    return click.option(*declarations, cls=Option, sentence=help, **attributes)


def answers_json(function: Any) -> Any:
    """``--json``: one JSON object on stdout (`Session.answer_json`), everything else on stderr."""
    return option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_json,
        help=text("Answer with one JSON object on stdout."),
    )(function)


class _Framed(click.Command):
    """Global options, examples first, help in the reader's language."""

    def __init__(
        self, *args: Any, sentence: Text | None = None, examples: Sequence[str | Text] = (), **kwargs: Any
    ) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        self.sentence = sentence
        self.examples = examples

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*own[:-1], *GLOBAL_OPTIONS, *own[-1:]] if self.add_help_option else [*own, *GLOBAL_OPTIONS]

    def get_short_help_str(self, limit: int = 45) -> str:
        speech = _speech(click.get_current_context())
        return speech.say(self.sentence) if self.sentence else super().get_short_help_str(limit)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = _Formatter(width=formatter.width, max_width=_WIDTH_MAX)
        self.format_usage(ctx, wide)
        speech = _speech(ctx)
        if self.examples:
            with wide.section(speech.say(text("Examples"))):
                for example in self.examples:
                    said = speech.say(example) if isinstance(example, Text) else example
                    wide.write(f"{'':{wide.current_indent}}{said}\n")
        if self.sentence:
            wide.write_paragraph()
            with wide.indentation():
                wide.write_text(speech.say(self.sentence))
        self.format_options(ctx, wide)
        formatter.write(wide.getvalue())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        params = [param for param in self.get_params(ctx) if not isinstance(param, click.Argument)]
        own = [param for param in params if param not in GLOBAL_OPTIONS]
        speech = _speech(ctx)
        for heading, options in (
            (text("Options"), own),
            (text("Options of every command"), GLOBAL_OPTIONS),
        ):
            records = [record for param in options if (record := param.get_help_record(ctx))]
            if records:
                with formatter.section(speech.say(heading)):
                    formatter.write_dl(records)


class Command(_Framed):
    """A command of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.ensure_object(Session).start_logging()
        return super().invoke(ctx)


class Group(_Framed, click.Group):
    """A command with commands of its own."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        _Framed.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        speech = _speech(ctx)
        rows = [(name, self.summary(ctx, name, speech)) for name in self.list_commands(ctx)]
        with formatter.section(speech.say(text("Commands"))):
            formatter.write_dl(rows)

    def summary(self, ctx: click.Context, name: str, speech: Speech) -> str:
        """The line that stands beside a command's name."""
        inner = self.get_command(ctx, name)
        sentence = inner.sentence if isinstance(inner, _Framed) else None
        return speech.say(sentence) if sentence else (inner.get_short_help_str() if inner else "")


def command(
    name: str,
    *,
    help: Text,  # noqa: A002 - click's own word
    examples: Sequence[str | Text] = (),
) -> Callable[[Any], Command]:
    """``click.command`` in our frame. The function's int result is the exit code; None is 0."""
    return click.command(name, cls=Command, sentence=help, examples=examples)


def group(
    name: str,
    *,
    help: Text,  # noqa: A002 - click's own word
    examples: Sequence[str | Text] = (),
    **attributes: Any,
) -> Callable[[Any], Group]:
    """``click.group`` in our frame."""
    return click.group(name, cls=Group, sentence=help, examples=examples, **attributes)


def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True


def _set_config(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value:
        ctx.ensure_object(Session).config = value


def _set_lang(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if not re.fullmatch(r"(zh|en)([-_.].*)?", value, re.IGNORECASE):
        session = ctx.ensure_object(Session)
        session.lang = None
        raise click.BadParameter(session.speech.say(text("choose zh or en")), ctx, param)


def _set_color(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).color = False


def _set_verbosity(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    ctx.ensure_object(Session).verbosity += value


def _add_hosts(ctx: click.Context, _param: click.Parameter, value: Iterable[str]) -> None:
    ctx.ensure_object(Session).gateway_hosts.extend(value)


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"campaign {__version__}")
        ctx.exit()


def _global(*declarations: str, sentence: Text, callback: Callable[..., None], **attributes: Any) -> Option:
    return Option(
        declarations, sentence=sentence, callback=callback, expose_value=False, is_eager=True, **attributes
    )


#: Accepted before and after the command's name.
GLOBAL_OPTIONS: Final[Sequence[Option]] = (
    _global(
        "--config",
        metavar="PATH",
        type=click.Path(path_type=Path),
        callback=_set_config,
        sentence=text("The settings file; without it campaign.toml beside the sheet, then in this folder."),
    ),
    _global("--lang", metavar="zh|en", callback=_set_lang, sentence=text("The language to speak.")),
    _global("--no-color", is_flag=True, callback=_set_color, sentence=text("No colours.")),
    _global(
        "-v",
        "--verbose",
        count=True,
        callback=_set_verbosity,
        sentence=text("Log what happens to stderr; twice for more."),
    ),
    _global(
        "--gateway-host",
        metavar="HOST",
        multiple=True,
        callback=_add_hosts,
        sentence=text("Allow a gateway that is neither WeChat Pay nor this machine. Can be given again."),
    ),
    _global("--version", is_flag=True, callback=_show_version, sentence=text("Show the version.")),
)


class _Formatter(click.HelpFormatter):
    """Click's help layout by columns on the screen: a Chinese character takes two."""

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        for paragraph in text.split("\n"):
            for line in wrapped(paragraph, self.width - self.current_indent):
                self.write(f"{indent}{line}\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max((display_width(name) for name, _ in rows), default=0), col_max) + col_spacing
        for name, description in rows:
            lines = wrapped(description, max(self.width - first - self.current_indent, 20))
            left = f"{'':{self.current_indent}}{name}"
            if display_width(name) > first - col_spacing and lines:
                self.write(f"{left}\n")
                left = ""
            for line in lines or [""]:
                padding = self.current_indent + first - display_width(left)
                self.write(f"{left}{'':{padding}}{line}".rstrip() + "\n")
                left = ""


def wrapped(words: str, width: int) -> list[str]:
    """Lines of at most so many columns; broken at blanks, and between Chinese characters."""
    lines: list[str] = []
    line = ""
    for piece in re.findall(r"\s+|[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+", words):
        if line and display_width(line) + display_width(piece.rstrip()) > width and not _clings(piece):
            lines.append(line.rstrip())
            line = ""
        line += piece if line or piece.strip() else ""
    return [*lines, line.rstrip()] if line else lines


def _clings(piece: str) -> bool:
    """Punctuation that may not begin a line."""
    return piece in set("，。；：、）！？”,.;:)!?")


def _speech(ctx: click.Context) -> Speech:
    return ctx.ensure_object(Session).speech
