"""The command line: options, commands that are imported late, and every way a command can end."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest
import typer

from pipeline.cli import main
from pipeline.cli.app import (
    COMMANDS,
    Entry,
    Invocation,
    JsonOption,
    Session,
    command_line,
    complete_image,
    run_command,
    session_of,
)
from pipeline.cli.output import Color, line
from pipeline.errors import BuildError, DefinitionError, ExitCode, LockError

Capture = pytest.CaptureFixture[str]

FAILURES: dict[str, BaseException] = {
    "definition": DefinitionError("unknown key", remedy="agc validate"),
    "internal": ValueError("a bug"),
    "full": OSError(errno.ENOSPC, "No space left on device", "out/index.json"),
    "interrupt": KeyboardInterrupt(),
    "pipe": BrokenPipeError(),
    "group": ExceptionGroup("two", [LockError("stale"), ExceptionGroup("in", [BuildError("no")])]),
    "stopped-group": BaseExceptionGroup("stop", [KeyboardInterrupt(), LockError("stale")]),
    "mixed-group": ExceptionGroup("mixed", [LockError("stale"), ValueError("a bug")]),
}


def show(context: typer.Context, names: Annotated[list[str], typer.Argument(autocompletion=complete_image)]) -> None:
    """Show the session."""
    session = session_of(context)
    output = session.output
    data = {
        "names": names,
        "project": str(session.project),
        "flags": [name for name in ("json", "quiet", "verbose") if getattr(output, name)],
        "color": output.color,
    }
    output.result(data, lambda: [line(json.dumps(data))])


def own(context: typer.Context, as_json: JsonOption = False) -> None:
    """Declare the shared option itself."""
    session_of(context).output.result({"own": as_json}, lambda: [line("own")])


def fail(kind: str) -> None:
    """Fail in the way that was asked for."""
    raise FAILURES[kind]


def wait(context: typer.Context) -> None:
    """Wait for a signal on the event loop, and undo on the way out."""

    async def work(session: Session) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await anyio.sleep(30)
        finally:
            session.output.note("undone")

    run_command(context, work)


def answer(context: typer.Context) -> None:
    """Return a value through the event loop."""

    async def work(session: Session) -> str:
        await anyio.lowlevel.checkpoint()
        return session.project.name

    assert run_command(context, work) == Path.cwd().name


group = typer.Typer(help="A group.")
group.command("show")(show)
group.command("own")(own)

TABLE = {
    name: Entry(f"{__name__}:{name}", f"Line of {name}.") for name in ("show", "own", "fail", "wait", "answer", "group")
} | {"missing": Entry("pipeline.cli.not_written_yet:command", "Line of missing.")}


def run(*arguments: str) -> int:
    """Run the program with the commands of this file."""
    return main(arguments, TABLE)


def last(capture: Capture) -> dict[str, object]:
    """Return the object on the last line of standard output."""
    parsed = json.loads(capture.readouterr().out.splitlines()[-1])
    assert isinstance(parsed, dict)
    return parsed


def test_help_lists_every_command_without_importing_any(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    """The table alone feeds the help, so a command that cannot be imported does no harm."""
    monkeypatch.setenv("COLUMNS", "80")

    assert main(["--help"]) == ExitCode.OK
    golden("cli/help.txt", capsys.readouterr().out)


def test_no_command_shows_the_help(capsys: Capture) -> None:
    """`agc` alone tells what it can do."""
    assert run() == ExitCode.OK
    assert "Line of missing." in capsys.readouterr().out


def test_table_names_the_commands_of_the_contract() -> None:
    """Each command is in a module of its name."""
    named = {"validate", "lock", "list-matrix", "explain", "plan", "build", "smoke", "generate", "engine", "doctor"}
    named |= {"publish", "release", "sbom", "scan", "schema", "verify", "up", "down", "catalog", "init"}

    assert set(COMMANDS) == named
    assert all(COMMANDS[name].target == f"pipeline.cli.{name.replace('-', '_')}:command" for name in named)


@pytest.mark.parametrize(
    "arguments", [("--json", "show", "x"), ("show", "x", "--json"), ("group", "show", "x", "--json")]
)
def test_json_is_understood_before_and_after_the_command(capsys: Capture, arguments: tuple[str, ...]) -> None:
    """`--json` may stand anywhere."""
    assert run(*arguments) == ExitCode.OK
    assert last(capsys)["flags"] == ["json"]


def test_global_options_reach_the_session(capsys: Capture, tmp_path: Path) -> None:
    """Project, verbosity and colour are understood on both sides of the command."""
    assert run("-C", str(tmp_path), "group", "-v", "show", "x", "--color=never") == ExitCode.OK

    expected = {"names": ["x"], "project": str(tmp_path), "flags": ["verbose"], "color": Color.NEVER}
    assert last(capsys) == expected


def test_later_of_quiet_and_verbose_wins(capsys: Capture) -> None:
    """The option nearer to the command's own arguments decides."""
    assert run("-v", "show", "x", "-q") == ExitCode.OK
    assert last(capsys)["flags"] == ["quiet"]


def test_command_may_declare_the_option_itself(capsys: Capture) -> None:
    """A command that wants to see the flag gets it, once."""
    assert run("own", "--json") == ExitCode.OK
    assert last(capsys) == {"own": True}


def test_help_of_a_command_shows_json_and_hides_the_rest(capsys: Capture) -> None:
    """What is true of all commands is not repeated in the help of each."""
    assert run("group", "show", "--help") == ExitCode.OK

    text = capsys.readouterr().out
    assert "--json" in text
    assert "--color" not in text
    assert "completion" not in text


def test_version_is_printed_for_people_and_machines(capsys: Capture) -> None:
    """`--version` honours `--json`."""
    assert run("--version") == ExitCode.OK
    assert capsys.readouterr().out == f"agc {version('agentcontainers')}\n"
    assert run("--version", "--json") == ExitCode.OK
    assert last(capsys) == {"version": version("agentcontainers")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shwo",), "Did you mean 'show'?"),
        (("show", "--nmaes"), "No such option: --nmaes"),
        (("show",), "Missing argument"),
        (("-C", "/no/such/folder", "show", "x"), "does not exist"),
        (("--color", "red", "show", "x"), "'red' is not one of"),
    ],
)
def test_wrong_command_line_ends_with_two(capsys: Capture, arguments: tuple[str, ...], words: str) -> None:
    """A mistake in the command line is shown like every other failure, with the help to read."""
    assert run(*arguments) == ExitCode.USAGE

    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert words in text
    assert "Value error" not in text
    assert text.rstrip().endswith("--help")


def test_wrong_command_line_with_json_is_an_object(capsys: Capture) -> None:
    """`--json` counts even where the command line cannot be parsed."""
    assert run("show", "--nmaes", "--json") == ExitCode.USAGE

    error = last(capsys)["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["remedy"]) == ("usage", "agc show --help")


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("definition", ExitCode.DEFINITION, "error: unknown key"),
        ("internal", ExitCode.INTERNAL, "ValueError: a bug"),
        ("full", ExitCode.OUTPUT, "cannot write out/index.json: No space left on device"),
        ("interrupt", ExitCode.INTERRUPTED, "interrupted, nothing was written"),
        ("group", ExitCode.LOCK, "2 errors"),
        ("stopped-group", ExitCode.INTERRUPTED, "interrupted"),
        ("mixed-group", ExitCode.INTERNAL, "ValueError: a bug"),
    ],
)
def test_failure_ends_with_its_code(capsys: Capture, kind: str, code: ExitCode, words: str) -> None:
    """Whatever a command raises, alone or in a group, becomes words and an exit status, without a traceback."""
    assert run("fail", kind) == code

    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_failure_with_json_ends_standard_output_with_an_object(capsys: Capture) -> None:
    """A script that asked for JSON gets JSON, and the person beside it the words."""
    assert run("fail", "definition", "--json") == ExitCode.DEFINITION

    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["remedy"] == "agc validate"
    assert "error: unknown key" in captured.err


def test_reader_that_left_is_no_failure_to_talk_about(capsys: Capture) -> None:
    """A closed pipe ends the program quietly."""
    assert run("fail", "pipe") == ExitCode.OUTPUT
    assert capsys.readouterr() == ("", "")


def test_traceback_is_shown_on_request(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGC_DEBUG=1 adds the traceback to the message."""
    monkeypatch.setenv("AGC_DEBUG", "1")

    assert run("fail", "internal") == ExitCode.INTERNAL
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_undoes_and_ends_like_ctrl_c(capsys: Capture) -> None:
    """A running command is cancelled, gets to clean up, and the handlers are put back."""
    before = signal.getsignal(signal.SIGTERM)

    assert run("wait") == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "undone\nerror: interrupted, nothing was written\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_coroutine_returns_its_value() -> None:
    """`run_command` hands back what the work returned."""
    assert run("answer") == ExitCode.OK


def test_command_that_cannot_be_imported_is_our_fault(capsys: Capture) -> None:
    """A broken command does not look like a mistake of the person."""
    assert run("missing") == ExitCode.INTERNAL
    assert "not_written_yet" in capsys.readouterr().err


def completions(words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> list[str]:
    """Return what bash would offer for the last of `words`."""
    monkeypatch.setenv("_AGC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        run()
    return capsys.readouterr().out.split()


def test_shell_completes_commands_options_and_choices(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Completion knows the table, the options of a command, and the values of a choice."""
    assert completions("agc f", monkeypatch, capsys) == ["fail"]
    assert completions("agc show --js", monkeypatch, capsys) == ["--json"]
    assert completions("agc --color a", monkeypatch, capsys) == ["auto", "always"]
    assert completions("agc group s", monkeypatch, capsys) == ["show"]


def test_shell_completion_script_can_be_shown(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """`--show-completion` prints a script for `agc`, whoever runs the tests: it asks which shell called."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    with pytest.raises(SystemExit) as end:
        run("--show-completion", "bash")

    assert end.value.code == 0
    assert "_AGC_COMPLETE" in capsys.readouterr().out


def test_image_names_that_cannot_be_read_complete_nothing(tmp_path: Path) -> None:
    """A project without readable definitions offers no names and no error."""
    group = command_line(TABLE)
    context = typer.Context(group, obj=Invocation(Session(project=tmp_path / "gone")))

    assert complete_image(context, "no-such-image-anywhere") == []
