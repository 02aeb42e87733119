"""What the README says is so: its commands run, its tables are complete, the tests that it names exist."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from campaign import errors
from campaign.cli import EXIT_BUG, EXIT_INTERRUPTED, main
from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON
from campaign.cli.frame import GLOBAL_OPTIONS
from campaign.cli.session import Session
from tests.readme.reference import README, commands, options, with_reference

ROOT = README.parent
TEXT = README.read_text(encoding="utf-8")
#: These are only looked up: they change the machine, run for ever, or need the outside world.
NOT_RUN = {"schedule", "rehearsal", "match", "doctor --config"}


def blocks() -> Iterator[str]:
    """The lines of the shell blocks, without comments."""
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL):
        for line in block.splitlines():
            command = line.partition(" #")[0].strip()
            if command and not command.startswith("#"):
                yield command


LINES = list(blocks())


def contract_rows(heading: str) -> dict[str, str]:
    """First and second column of the table below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row[:1] == "|"
    ]
    return {row[0]: row[1] for row in rows[2:]}


def exit_codes(kind: type[errors.CampaignError] = errors.CampaignError) -> set[int]:
    return {kind.exit_code}.union(*(exit_codes(inner) for inner in kind.__subclasses__()))


def test_its_commands_run_from_the_first_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one folder, by an operator who says yes, without anything set up by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMPAIGN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setattr(Session, "interactive", True)
    monkeypatch.setattr(Session, "ask", lambda self, question: True)
    ran = []
    for line in LINES:
        program, *arguments = shlex.split(line)
        if program == "campaign" and arguments[0] not in NOT_RUN:
            assert main(arguments) == 0, f"{line}\n{capsys.readouterr()}"
            ran.append(arguments[0])
    assert {"init", "check", "run", "status", "reconcile", "report", "cancel"} <= set(ran)
    assert (tmp_path / "lantern-report.xlsx").exists()


def test_its_notebook_shows_what_the_sample_campaign_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where `make run` has left it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMPAIGN_STATE_DIR", str(tmp_path / "state"))
    Path("rehearsal-run").mkdir()
    for name in ("lantern.xlsx", "campaign.toml"):
        shutil.copy(ROOT / "sample_campaigns" / name, "rehearsal-run")
    assert main(["run", "rehearsal-run/lantern.xlsx", "--yes"]) == 0, capsys.readouterr()
    [block] = re.findall(r"```pycon\n(.*?)```", TEXT, re.DOTALL)
    notebook = doctest.DocTestParser().get_doctest(block, {}, "README", "README.md", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(notebook) == (0, 4), capsys.readouterr().out


def test_every_command_line_names_commands_and_options_that_exist() -> None:
    """Also inside the text, and also those that are not run here."""
    known = {name: command for name, command, _ in commands()}
    heads = {name.split()[0] for name in known}
    mentioned = [words for words in re.findall(r"`(campaign [a-z][^`]*)`", TEXT) if words.split()[1] in heads]
    assert mentioned
    for line in [line for line in LINES if line.startswith("campaign ")] + mentioned:
        words = shlex.split(line)[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known or name in heads, line
        if name not in known:
            continue
        allowed = {
            opt for param in known[name].params if isinstance(param, click.Option) for opt in param.opts
        }
        allowed |= {opt for option in GLOBAL_OPTIONS for opt in option.opts} | {"--help"}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in allowed, line


def test_every_make_target_that_it_names_exists() -> None:
    """The makefile's targets themselves are not run inside the tests that they run."""
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = [line.split()[1] for line in LINES if line.startswith("make ")]
    named += re.findall(r"`make ([a-z-]+)", TEXT)
    assert {"run", "test"} <= set(named)
    assert set(named) <= targets


def test_every_command_and_option_has_a_place() -> None:
    for name, command, _ in commands():
        assert f"`campaign {name}" in TEXT, (
            f"campaign {name} is not in the README; run: python -m tests.readme"
        )
        for option in options(command):
            assert f"`{option}`" in TEXT, f"{option} of campaign {name} is not in the README"
    for option in GLOBAL_OPTIONS:
        assert f"`{max(option.opts, key=len)}`" in TEXT


def test_the_reference_is_up_to_date() -> None:
    """Otherwise: python -m tests.readme"""
    assert with_reference(TEXT) == TEXT


def test_the_exit_codes_are_the_contracts() -> None:
    """Every code that the program can end with, and no other, with the meaning that others rely on."""
    rows = contract_rows("What it means when it ends")
    codes = exit_codes() | {EXIT_DONE, EXIT_BUG, EXIT_NEEDS_PERSON, EXIT_INTERRUPTED}
    assert {int(code) for code in rows} == codes
    for code, words in {
        "0": "nothing needs a person",
        "1": "bug",
        "2": "command line",
        "3": "sheet has problems; nothing was sent",
        "4": "settings, certificate or key are wrong; nothing was sent",
        "5": "not finished",
        "6": "need a person",
        "7": "nothing was sent",
        "130": "interrupted; run it again",
    }.items():
        assert words in rows[code], code


def test_the_tests_that_it_names_exist() -> None:
    written = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    missing = {name for name in named if f"def {name}(" not in written}
    assert not missing


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:sample_campaigns|campaign|tests)/[\w./-]+)`", TEXT)))
)
def test_the_files_that_it_names_exist(name: str) -> None:
    assert (ROOT / name).exists()
