"""The README's reference of commands and options, made from the command line itself.

``python -m tests.readme`` writes it; a test fails when it is behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

import campaign.cli
from campaign.cli.frame import GLOBAL_OPTIONS, Session
from campaign.i18n import Speech

README: Final = Path(__file__).parents[2] / "README.md"
BEGIN: Final = "<!-- commands: written by python -m tests.readme -->"
END: Final = "<!-- end of commands -->"


def leaves(
    group: click.Group, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that does something, with its whole name."""
    context = click.Context(group, info_name="campaign", obj=Session([], {"LANG": "en"}))
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        assert inner is not None
        path = (*above, name)
        if isinstance(inner, click.Group):
            yield from leaves(inner, path)
        else:
            yield " ".join(path), inner, click.Context(inner, parent=context, info_name=name)


def commands() -> list[tuple[str, click.Command, click.Context]]:
    """Every command of the program."""
    return list(leaves(campaign.cli._root))


def _sentence(command: click.Command) -> str:
    """The first sentence of its help."""
    sentence = getattr(command, "sentence", None)
    assert sentence, f"{command.name} has no help"
    return Speech("en").say(sentence).partition(". ")[0].removesuffix(".") + "."


def options(command: click.Command) -> list[str]:
    """The command's own options; hidden ones and those of every command left out."""
    return [
        max(param.opts, key=len)
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden and param not in GLOBAL_OPTIONS
    ]


def reference() -> str:
    """The block between the marks."""
    lines = [BEGIN, "", "| command | does | options |", "| --- | --- | --- |"]
    for name, command, context in commands():
        arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
        cells = [_code(["campaign", name, *arguments]), _sentence(command)]
        cells.append(" ".join(_code([option]) for option in options(command)))
        lines.append(f"| {' | '.join(cells)} |")
    everywhere = ", ".join(_code([max(option.opts, key=len)]) for option in GLOBAL_OPTIONS)
    lines += ["", f"With every command, before or after its name: {everywhere}.", ""]
    lines += ["`campaign COMMAND --help` explains each option."]
    return "\n".join([*lines, "", END])


def _code(words: Iterable[str]) -> str:
    return f"`{' '.join(words)}`"


def with_reference(readme: str) -> str:
    """The README with a present block; without one yet, before ``## Words``."""
    if BEGIN not in readme:
        return readme.replace("## Words\n", f"## Every command and option\n\n{reference()}\n\n## Words\n", 1)
    before, _, rest = readme.partition(BEGIN)
    return before + reference() + rest.partition(END)[2]
