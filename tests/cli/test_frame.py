"""What every command has in common: global options, languages, exit codes, and errors as sentences."""

from __future__ import annotations

import errno
import importlib.machinery
import json
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest

import campaign.cli
from campaign import errors
from campaign.cli import main
from campaign.cli.frame import Session, answers_json, command, option, pass_session, wrapped
from campaign.cli.session import masked
from campaign.text import text

#: What one command or another needs, and none may make the others wait for.
HEAVY = (
    *("pandas", "sqlite_utils", "openpyxl", "xlsxwriter", "cryptography", "aiohttp"),
    *("rich", "pydantic", "structlog", "requests", "lxml", "pycurl", "sqlite3", "asyncio"),
)
KEY = "Abcdefghijklmnopqrstuvwxyz012345"
OPENID = "oSAMPLE_not_a_person_0000001"
SETTINGS = (
    f'[merchant]\nmch_id = "1900000109"\nwxappid = "wx0123456789abcdef"\napi_key = "{KEY}"\n'
    '[gateway]\nurl = "rehearsal"\n[limits]\ncampaign_yuan = "5"\n'
)


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch, tmp_path):
    """An English terminal in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


@pytest.fixture
def probe(monkeypatch):
    """Put a command `probe` into the program whose body the test gives: ``probe(body)``."""

    def install(body):
        @command("probe", help=text("Read and check a sheet; send nothing."), examples=("campaign probe x",))
        @option("--limit", type=click.IntRange(1), help=text("Options"))
        @click.argument("words", nargs=-1)
        @answers_json
        @pass_session
        def probe_command(session: Session, words: tuple[str, ...], limit: int | None) -> int | None:
            return body(session)

        module = types.ModuleType("campaign.cli.probe")
        module.__spec__ = importlib.machinery.ModuleSpec("campaign.cli.probe", None)
        module.probe = probe_command
        monkeypatch.setitem(sys.modules, "campaign.cli.probe", module)
        monkeypatch.setattr(campaign.cli, "COMMANDS", {"probe": text("Commands")})

    return install


def raising(error: BaseException):
    def body(session: Session) -> None:
        raise error

    return body


# ------------------------------------------------------------------ options


@pytest.mark.parametrize("before", [True, False])
def test_global_options_stand_before_or_after_the_command(probe, before):
    seen = []
    probe(seen.append)
    options = [
        "--config",
        "a.toml",
        "--lang",
        "zh",
        "--no-color",
        "-v",
        "--gateway-host",
        "h1",
        "--gateway-host",
        "h2",
    ]
    assert main([*options, "probe"] if before else ["probe", *options]) == 0
    session = seen[0]
    assert session.config == Path("a.toml")
    assert session.speech.language == "zh_CN"
    assert not session.color
    assert session.verbosity == 1
    assert session.gateway_hosts == ["h1", "h2"]


def test_given_on_both_sides_they_add_up(probe):
    """The later --config wins, -v counts, hosts are collected."""
    seen = []
    probe(seen.append)
    assert (
        main(
            [
                "-v",
                "--config",
                "a",
                "--gateway-host",
                "h1",
                "probe",
                "-v",
                "--config",
                "b",
                "--gateway-host",
                "h2",
            ]
        )
        == 0
    )
    assert (seen[0].verbosity, seen[0].config, seen[0].gateway_hosts) == (2, Path("b"), ["h1", "h2"])


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "campaign 0.1.0\n"


def test_help_names_every_command_that_exists_in_the_contracts_order(capsys):
    """A command without a module is not promised."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    there = [
        name for name in campaign.cli.COMMANDS if (Path(campaign.cli.__file__).parent / f"{name}.py").exists()
    ]
    lines = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line.split()]
    assert [line for line in lines if line in campaign.cli.COMMANDS] == there
    assert {"init", "doctor"} <= set(there)


@pytest.mark.parametrize(
    "name", [n for n in campaign.cli.COMMANDS if (Path(campaign.cli.__file__).parent / f"{n}.py").exists()]
)
@pytest.mark.parametrize("lang, usage", [("en", "Usage:"), ("zh", "用法")])
def test_every_command_has_help_in_both_languages(capsys, name, lang, usage):
    """With examples first and the global options last."""
    assert main([name, "-h", "--lang", lang]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(usage)
    assert f"campaign {name}" in shown
    assert "--gateway-host" in shown
    assert (lang == "zh") == any("\u4e00" <= character <= "\u9fff" for character in shown)


def test_help_imports_nothing_heavy():
    """`campaign --help` answers at once."""
    code = (
        "import sys; from campaign.cli import main; code = main(['--help']); "
        f"sys.exit(code or ' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


# ------------------------------------------------------------------ languages


@pytest.mark.parametrize("args, lang, settings, chinese", [
    (["--lang", "zh"], "en_US.UTF-8", "", True),
    (["--lang=zh-CN"], "en_US.UTF-8", "", True),
    (["--lang", "en"], "zh_CN.UTF-8", 'lang = "zh"', False),
    ([], "zh_CN.UTF-8", "", True),
    ([], "zh_CN.UTF-8", 'lang = "en"', False),
    ([], "C", 'lang = "zh"', True),
    ([], "de_DE.UTF-8", "", False),
])  # fmt: skip
def test_usage_errors_are_said_in_the_readers_language(capsys, monkeypatch, args, lang, settings, chinese):
    """--lang, else the settings, else the environment; click's own words too."""
    monkeypatch.setenv("LANG", lang)
    Path("campaign.toml").write_text(f"[campaign]\n{settings}\n")
    assert main([*args, "--nonsense"]) == 2
    shown = capsys.readouterr().err
    assert ("没有" in shown) == chinese
    assert ("No such option" in shown) != chinese
    assert "--nonsense" in shown


def test_settings_that_are_wrong_are_refused_in_their_own_language(capsys, probe):
    Path("campaign.toml").write_text('[campaign]\nlang = "zh"\n[nonsense]\n')
    Path("campaign.toml").chmod(0o600)
    probe(lambda session: session.settings())
    assert main(["probe"]) == 4
    assert "不是" in capsys.readouterr().err


def test_an_unknown_language_is_a_usage_error(capsys):
    assert main(["--lang", "fr", "--help"]) == 2
    assert "zh" in capsys.readouterr().err


def test_the_process_is_left_as_it_was(probe):
    """So that a program, or a test, can call main() again."""
    before = (os.environ.get("LANGUAGE"), logging.getLogger().handlers[:], logging.getLogger().level)
    probe(lambda session: None)
    assert main(["probe", "-v", "--lang", "zh"]) == 0
    assert (os.environ.get("LANGUAGE"), logging.getLogger().handlers[:], logging.getLogger().level) == before


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_without_utf8_costs_no_sentence(locale):
    """Chinese on a C locale, with Python's own help switched off."""
    env = {**os.environ, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **locale}
    result = subprocess.run(
        [sys.executable, "-m", "campaign", "--lang", "zh", "--help"], capture_output=True, env=env
    )
    assert result.returncode == 0
    assert "红包" in result.stdout.decode()


def test_other_encodings_are_kept_and_lose_no_line():
    """A GBK terminal gets GBK; what it cannot show is spelled out."""
    env = {**os.environ, "PYTHONIOENCODING": "gbk"}
    command_line = [sys.executable, "-m", "campaign", "--lang", "zh", "--config", "🧧.toml", "status"]
    result = subprocess.run(command_line, capture_output=True, env=env)
    assert result.returncode == 4
    assert "\\U0001f9e7.toml" in result.stderr.decode("gbk")


def test_chinese_help_is_wrapped_by_columns_on_the_screen():
    lines = wrapped("一二三四五六七八九十,甲乙丙丁。 word another", 10)
    assert lines == ["一二三四五", "六七八九十,", "甲乙丙丁。", "word", "another"]


# ------------------------------------------------------------------ answers and errors


def test_json_is_exactly_one_object(capsys, probe):
    """With schema_version and gateway; everything else goes to stderr."""
    Path("campaign.toml").write_text(SETTINGS)
    Path("campaign.toml").chmod(0o600)

    def body(session: Session) -> int:
        session.settings()
        session.tell(text("Commands"))
        session.say(text("Options"))
        session.answer_json({"rows": 3, "name": "灯会"})
        return 6

    probe(body)
    assert main(["probe", "--json"]) == 6
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"schema_version": 1, "gateway": "rehearsal", "rows": 3, "name": "灯会"}
    assert shown.err == "Commands\nOptions\n"


def test_without_json_the_answer_is_on_stdout(capsys, probe):
    def body(session: Session) -> None:
        session.tell(text("{name} [bold]{name}[/bold]", name="[red]"))
        session.say(text("Options"))

    probe(body)
    assert main(["probe"]) == 0
    assert capsys.readouterr() == ("[red] [bold][red][/bold]\n", "Options\n")


@pytest.mark.parametrize("args, environ, coloured", [
    ([], {}, True),
    (["--no-color"], {}, False),
    ([], {"NO_COLOR": "1"}, False),
    ([], {"TERM": "dumb"}, False),
])  # fmt: skip
def test_colours_can_be_refused(args, environ, coloured):
    """On a real terminal."""
    pexpect = pytest.importorskip("pexpect")
    env = {**os.environ, "TERM": "xterm", **environ}
    child = pexpect.spawn(
        sys.executable, ["-m", "campaign", *args, "--config", "none", "doctor"], env=env, timeout=20
    )
    child.expect(pexpect.EOF)
    assert (b"\x1b[1;31m" in child.before) == coloured
    assert b"There is no settings file none" in child.before
    child.close()


def all_errors(kind: type = errors.CampaignError) -> list[type]:
    return [kind, *(inner for sub in kind.__subclasses__() for inner in all_errors(sub))]


@pytest.mark.parametrize("kind", all_errors())
@pytest.mark.parametrize("json_asked", [False, True])
def test_every_campaign_error_is_a_message_and_its_exit_code(capsys, probe, kind, json_asked):
    """Sentence and next step on stderr, no traceback; with --json the same as an object."""
    probe(
        raising(
            kind(text("the {what} is wrong", what="sheet"), advice=text("correct the {what}", what="sheet"))
        )
    )
    assert main(["probe", *(["--json"] if json_asked else [])]) == kind.exit_code
    shown = capsys.readouterr()
    assert shown.err == "Error: the sheet is wrong\n→ correct the sheet\n"
    if json_asked:
        answer = json.loads(shown.out)
        assert answer.keys() == {"schema_version", "gateway", "error"}
        assert answer["error"] == {
            "kind": kind.__name__,
            "exit_code": kind.exit_code,
            "message": "the sheet is wrong",
            "advice": "correct the sheet",
        }
    else:
        assert shown.out == ""


@pytest.mark.parametrize(
    "args", [["nonsense"], ["probe", "--nonsense"], ["probe", "--limit", "x"], ["probe", "--limit"], []]
)
@pytest.mark.parametrize("json_asked", [False, True])
def test_a_wrong_command_line_is_exit_2(capsys, probe, args, json_asked):
    probe(lambda session: None)
    assert main([*args, *(["--json"] if json_asked and args != ["probe", "--limit"] else [])]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert shown.err
    if json_asked and args != ["probe", "--limit"]:
        assert json.loads(shown.out)["error"]["exit_code"] == 2


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "full"),
    (errno.EDQUOT, "full"),
    (errno.EROFS, "may not be"),
    (errno.EACCES, "may not be"),
    (errno.EIO, "could not be"),
    (errno.EMFILE, "could not be"),
])  # fmt: skip
def test_what_a_disk_can_do_is_a_sentence_with_exit_5(capsys, probe, number, words):
    probe(raising(OSError(number, os.strerror(number), "/data/campaign.db")))
    assert main(["probe"]) == 5
    shown = capsys.readouterr().err
    assert words in shown
    assert "/data/campaign.db" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "error", [RuntimeError, AssertionError, ConnectionResetError, KeyError, RecursionError]
)
def test_anything_else_is_our_bug_with_its_details_in_a_closed_file(
    capsys, probe, monkeypatch, tmp_path, error
):
    """The file names the place in the code and holds neither keys nor openids."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    probe(raising(error(f"about {OPENID} and {KEY}")))
    assert main(["probe", "--json"]) == 1
    shown = capsys.readouterr()
    (details,) = tmp_path.glob("campaign-bug-*.txt")
    assert str(details) in shown.err.replace("\n", "")
    assert json.loads(shown.out)["error"]["exit_code"] == 1
    assert details.stat().st_mode & 0o777 == 0o600
    written = details.read_text()
    assert "test_frame.py" in written
    for secret in (KEY, OPENID):
        assert secret not in written
        assert secret not in shown.err + shown.out


def test_ctrl_c_is_130_without_a_traceback(capsys, probe):
    probe(raising(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    shown = capsys.readouterr().err
    assert "Run the same command again" in shown
    assert "Traceback" not in shown


def test_a_program_is_answered_although_somebody_interrupted(capsys, probe):
    probe(raising(KeyboardInterrupt()))
    assert main(["probe", "--json"]) == 130
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["exit_code"]) == ("Interrupted", 130)


def test_a_reader_that_goes_away_is_no_error():
    """`campaign … | head -1`: quiet, and told apart from success."""
    code = (
        "import sys, campaign.cli as c\n"
        "c._root.main = lambda *a, **k: [print('x' * 80, flush=True) for _ in range(100000)]\n"
        "sys.exit(c.main(['--help']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_a_question_without_a_terminal_is_a_usage_error(capsys, probe, monkeypatch):
    """Never a guess, and never a wait for an answer that cannot come."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    probe(lambda session: session.ask(text("Pay 5 rows?")))
    assert main(["probe"]) == 2
    assert "Pay 5 rows?" in capsys.readouterr().err


@pytest.mark.parametrize("typed, answer", [
    ("y", True), ("Yes", True), (" y ", True), ("是", True),
    ("", False), ("n", False), ("no", False), ("yep", False), ("不", False), ("\x04", False),
])  # fmt: skip
def test_only_a_yes_is_a_yes(typed, answer):
    """Asked on a real terminal."""
    pexpect = pytest.importorskip("pexpect")
    code = (
        "from campaign.cli.session import Session; from campaign.text import text; import os\n"
        "print('ANSWER', Session([], {'LANG': 'en'}).ask(text('Pay {rows} rows?', rows=5)))"
    )
    child = pexpect.spawn(sys.executable, ["-c", code], encoding="utf-8", timeout=20)
    child.expect(r"Pay 5 rows\? \[y/N\]")
    child.sendline(typed) if typed != "\x04" else child.sendeof()
    child.expect(f"ANSWER {answer}")
    child.close()


# ------------------------------------------------------------------ logs


def test_logs_go_to_stderr_with_v_only_and_are_masked(capsys, probe):
    def body(session: Session) -> None:
        logging.getLogger("campaign.x").info(
            "paid %s", OPENID, extra={"api_key": KEY, "who": [OPENID], "n": 3}
        )
        logging.getLogger("campaign.x").debug("detail %s", KEY)

    probe(body)
    assert main(["probe"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["probe", "-v"]) == 0
    quiet = capsys.readouterr()
    assert quiet.out == ""
    assert "paid oS…0001" in quiet.err
    assert "n=3" in quiet.err
    assert "detail" not in quiet.err
    assert main(["probe", "-vv"]) == 0
    loud = capsys.readouterr().err
    assert "detail [hidden]" in loud
    for secret in (KEY, OPENID):
        assert secret not in quiet.err + loud


def test_a_terminal_obeys_nothing_that_a_sheet_or_an_answer_says(capsys, probe):
    """A title could clear the screen, fill the clipboard, or turn what stands behind it around."""
    words = "a\x1b[2J\x1b]52;c;eA==\x07b\x9b31m\u202ec\r\x7f"
    shown = r"a\u001b[2J\u001b]52;c;eA==\u0007b\u009b31m\u202ec\u000d\u007f"

    def body(session: Session) -> None:
        session.tell(text("first\n{words}", words=words))
        session.say(text("{words}", words=words))
        logging.getLogger("campaign.x").info("%s", words)
        raise errors.UsageError(text("{words}", words=words), advice=text("{words}", words=words))

    probe(body)
    assert main(["probe", "-v"]) == 2
    said = capsys.readouterr()
    assert said.out == f"first\n{shown}\n"
    assert said.err.count(shown) == 4
    assert not [c for c in said.err if c != "\n" and not c.isprintable()]


def test_an_openid_on_a_wrong_command_line_is_masked_in_json(capsys, probe):
    probe(lambda session: None)
    assert main(["probe", "--json", "--limit", OPENID]) == 2
    assert "'oS…0001'" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_exceptions_in_logs_are_masked_too(capsys, probe):
    def body(session: Session) -> None:
        try:
            raise ValueError(KEY)
        except ValueError:
            logging.getLogger("campaign.x").exception("failed for %s", OPENID)

    probe(body)
    assert main(["probe", "-v"]) == 0
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert KEY not in shown
    assert OPENID not in shown


@pytest.mark.parametrize("words, shown", [
    (f"({OPENID})", "(oS…0001)"),
    (f"sign={KEY.upper()};", "sign=[hidden];"),
    (f"用户{OPENID}不存在", "用户oS…0001不存在"),  # to a pattern's \\b a Chinese character is a letter
    (f"id_{OPENID}", "id_oS…0001"),
    (f"密钥{KEY}错误_{KEY}", "密钥[hidden]错误_[hidden]"),
    ("1900000109ABCDEFGHJKMNPQRSTV", "1900000109ABCDEFGHJKMNPQRSTV"),  # a bill number is no secret
    ("wx0123456789abcdef", "wx0123456789abcdef"),
])  # fmt: skip
def test_masking_hides_openids_and_keys_and_nothing_else(words, shown):
    assert masked(words) == shown


@pytest.mark.parametrize(
    "streams, command, code",
    [
        (">&-", "--version", 0),
        ("<&- >&- 2>&-", "--version", 0),
        ("2>&-", "no-such-command", 2),
        ("<&-", "check nowhere.csv", 4),
    ],
)
def test_closed_streams_are_no_bug(streams, command, code, tmp_path):
    """As some service managers start a program."""
    line = f'"{sys.executable}" -m campaign {command} {streams}'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
