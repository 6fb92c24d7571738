"""What scripts and people may rely on of every command: help, exit codes, streams, the JSON envelope, completion."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from dsv4_launch.cli import configs
from dsv4_launch.cli.help import COMMANDS as HEADINGS
from dsv4_launch.cli.main import app, main

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = dict(sorted(typer.main.get_command(app).commands.items()))  # type: ignore[attr-defined]
OPTIONS = {name: {word for p in command.params for word in p.opts} for name, command in COMMANDS.items()}
WITH_JSON = sorted(name for name, options in OPTIONS.items() if "--output" in options)
# What a command is told about first: a config, or the deployment that one names.
NOT_ON_A_CONFIG = {"schema", "advisories", "explain", "facts", "weights", "recommend", "bench", "cache"}
ON_A_CONFIG = sorted(set(COMMANDS) - NOT_ON_A_CONFIG)
WITHOUT_A_HOST = {
    "render-cmd": ["render-cmd"],
    "render-cmd native": ["render-cmd", "--target", "native"],
    "plan": ["plan"],
    "plan explained": ["plan", "--explain"],
    "schema": ["schema"],
    "validate": ["validate", *configs.builtins()],
    "show": ["show", "--builtin", "flash-b200"],
    "advisories": ["advisories", "--vllm", "0.28.0", "--gpu", "b200"],
    "explain": ["explain", "D56"],
    "doctor of a shipped host": ["doctor", "--facts", "hgx-b200"],
    "facts": ["facts", "diff", "hgx-b200", "hgx-h200", "--config", "flash-b200"],
    "validate on a host": ["validate", "flash-b200", "--facts", "hgx-b200"],
}
ENVELOPE = ["version", "command", "status", "exit_code", "data", "errors"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line: exit code, stdout, stderr."""

    def run_(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def envelope(out: str, command: str, code: int) -> dict:
    (line,) = out.splitlines()
    data = json.loads(line)
    assert list(data) == ENVELOPE
    assert (data["version"], data["command"], data["exit_code"]) == (1, command, code)
    assert data["status"] == ("error" if code else "ok")
    assert bool(data["errors"]) == bool(code)
    assert all(list(error) == ["code", "message", "where", "fix"] for error in data["errors"])
    return data


# --- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str, option: str, run: Run) -> None:
    code, out, err = run(name, option)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: dsv4 {name} ")
    described = out.split("\n\n")[1].strip()
    assert len(described) > 20
    assert described.endswith((".", ":"))
    # Each option is explained as well.
    assert all(getattr(p, "help", None) for p in COMMANDS[name].params if p.name != "help")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_an_example_that_it_understands(name: str, run: Run) -> None:
    _, out, _ = run(name, "--help")
    examples = re.findall(r"^  Example: (.+(?:\n  \S.*)*)", out, re.M)
    assert examples
    for example in examples:
        for words in re.findall(r"dsv4 ([^&|;>]+)", " ".join(example.split())):
            command, *rest = words.split()
            assert command in COMMANDS
            used = {word.partition("=")[0] for word in rest if word.startswith("-")}
            assert used <= OPTIONS[command], f"{words} has an option that {command} has not"


def test_help_lists_every_command_once_in_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z].*\w[`]?\.$", out[out.index("Know before the launch:") :], re.M)
    assert sorted(listed) == sorted(COMMANDS)


def test_help_and_readme_sort_the_commands_alike() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for heading, commands in HEADINGS.items():
        table = readme.partition(f"**{heading}**\n\n")[2].partition("\n\n")[0]
        first = "".join(row.split(" | ")[0] for row in table.splitlines()[2:])
        named = {name for name in re.findall(r"`(?:dsv4 )?([a-z-]+)[^`]*`", first) if name in COMMANDS}
        assert named == set(commands), heading


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_arguments_are_shown_by_their_names(name: str, run: Run) -> None:
    _, out, _ = run(name, "--help")
    assert not re.search(r"<(str|int|list|float)\b", out)
    assert "[[" not in out.partition("\n")[0]


def test_without_a_command_the_help_is_no_result(run: Run) -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: dsv4 ")


@pytest.mark.parametrize("group", sorted(name for name, command in COMMANDS.items() if hasattr(command, "commands")))
def test_a_group_without_a_subcommand_says_what_the_program_does_without_a_command(group: str, run: Run) -> None:
    code, out, err = run(group)
    assert (code, out) == (2, "")
    assert err.startswith(f"Usage: dsv4 {group} ")
    assert all(f"\n  {name} " in err for name in COMMANDS[group].commands)  # type: ignore[attr-defined]
    assert "hint:" not in err


def test_an_option_in_front_of_the_command_is_a_wrong_command_line_that_names_it(run: Run) -> None:
    code, out, _ = run("--output", "json", "plan")
    assert envelope(out, "plan", code)["exit_code"] == 2


def _leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that is no group, as the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path
        return
    for name, one in below.items():
        yield from _leaves(one, (*path, name))


@pytest.mark.parametrize("words", list(_leaves(typer.main.get_command(app))), ids=" ".join)
def test_a_wrong_option_leads_to_the_help_of_its_own_command(words: tuple[str, ...], run: Run) -> None:
    for wrong in ("--no-such-option", "--output", "--help=1"):
        code, out, err = run(*words, wrong)
        assert (code, out) == (2, "")
        assert f"hint: `dsv4 {' '.join(words)} --help` shows how." in err, wrong


def test_an_option_without_its_value_leads_to_the_help_of_its_own_command(run: Run) -> None:
    _, _, err = run("bench", "tune", "--vary")
    assert "hint: `dsv4 bench tune --help` shows how." in err


def test_bench_alone_measures_what_is_none_of_its_commands(run: Run) -> None:
    for words in (("--url", "127.0.0.1:9"), ("--url", "127.0.0.1:9", "--output", "json"), ("x", "y"), ("--no-such",)):
        assert run("bench", *words) == run("bench", "run", *words), words
    assert "Did you mean 'report'?" in run("bench", "reprot", "x")[2]
    assert run("bench", "-h") == run("bench", "--help")


def test_the_version(run: Run) -> None:
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"dsv4 \d+\.\d+\.\d+\S*\n", out)


# --- results -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", WITHOUT_A_HOST.values(), ids=WITHOUT_A_HOST)
def test_results_are_plain_and_on_stdout(words: list[str], run: Run) -> None:
    code, out, err = run(*words)
    assert code == 0
    assert out.endswith("\n")
    assert "\x1b" not in out + err
    assert "error" not in err
    assert run(*words)[1] == out


@pytest.mark.parametrize(("no_color", "escapes"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_it_asked_for_none(no_color, escapes, run, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _self: True)
    code, out, _ = run("plan", "--explain")
    assert (code, "\x1b" in out) == (0, escapes)


PLAN = [
    "name", "target", "vllm", "stack", "model", "gpus", "parallel", "arguments", "environment", "host", "port",
    "served_model_names", "api_key_env", "hf_token_env", "container", "native", "timeout_s", "stop_timeout_s",
    "notices", "api_key_file", "config", "fit",
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["render-cmd"], ["argv", "env", "shell"]),
        (["render-cmd", "flash-b200-dp8", "--format", "oneline"], ["argv", "env", "shell"]),
        (["plan"], PLAN),
        (["plan", "--explain"], PLAN),
        (["validate", "flash-b200"], ["files"]),
        (["show", "--builtin", "flash-b200"], ["builtin", "yaml"]),
        (["doctor", "--facts", "hgx-b200"], ["name", "target", "host", "checks"]),
        (["facts", "diff", "hgx-b200", "hgx-h200"], ["differences", "checks"]),
    ],
)
def test_the_json_of_a_result(words: list[str], keys: list[str], run: Run) -> None:
    code, out, err = run(*words, "--output", "json")
    assert (code, err) == (0, "")
    assert list(envelope(out, words[0], 0)["data"]) == keys


def test_the_json_of_a_schema_is_the_schema(run: Run) -> None:
    wrapped = envelope(run("schema", "--output=json")[1], "schema", 0)["data"]
    assert wrapped == json.loads(run("schema")[1])
    assert wrapped["$schema"].startswith("https://json-schema.org/")
    assert {"name", "model", "vllm", "gpu", "engine"} <= set(wrapped["properties"])


def test_the_json_of_a_validation_has_a_verdict_for_each_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: 1\n")
    code, out, err = run("validate", "flash-b200", tmp_path, "--output", "json")
    assert (code, err) == (3, "")
    data = envelope(out, "validate", 3)
    good, bad = data["data"]["files"]
    assert list(good) == list(bad) == ["file", "ok", "exit_code", "errors", "warnings", "changes", "deep"]
    assert (good["ok"], good["exit_code"], bad["ok"], bad["exit_code"]) == (True, 0, False, 3)
    assert bad["errors"] == data["errors"]
    assert all(error["where"].startswith(f"{tmp_path}/bad.yaml") for error in bad["errors"])


def test_the_formats_of_a_command_say_the_same(run: Run) -> None:
    data = envelope(run("render-cmd", "--output", "json")[1], "render-cmd", 0)["data"]
    assert json.loads(run("render-cmd", "--format", "json")[1]) == data["argv"]
    assert run("render-cmd", "--format", "oneline")[1] == data["shell"] + "\n"


# --- failures ------------------------------------------------------------------------------------------------------


def cases() -> dict[str, tuple[list[str], int]]:
    """Bad input: the words, and the exit code that the design gives it."""
    found: dict[str, tuple[list[str], int]] = {"no such command": (["nonsense"], 2)}
    for name in COMMANDS:
        found[f"{name}: unknown option"] = ([name, "--nonsense"], 2)
        if name in ON_A_CONFIG:
            found[f"{name}: missing file"] = ([name, "no-such.yaml"], 3)
            found[f"{name}: missing file in a folder"] = ([name, "no/such.yaml"], 3)
            found[f"{name}: not valid"] = ([name, "BAD"], 3)
        if name in WITH_JSON:
            found[f"{name}: unknown output"] = ([name, "x.yaml", "--output", "xml"], 2)
    for name in ("render-cmd", "plan", "serve", "rehearse", "pin"):
        if name in COMMANDS:
            found[f"{name}: folder"] = ([name, "FOLDER"], 3)
            found[f"{name}: unknown name"] = ([name, "flash-b201"], 3)
    for name in ("render-cmd", "plan", "serve"):
        found[f"{name}: cannot be"] = ([name, "--set", "parallel.tensor=16"], 4)
        found[f"{name}: not an override"] = ([name, "--set", "nonsense"], 3)
        found[f"{name}: unknown target"] = ([name, "--target", "podman"], 2)
    found |= {
        "validate: nothing given": (["validate"], 2),
        "validate: glob that matches nothing": (["validate", "FOLDER/*.yaml"], 3),
        "validate: folder without configs": (["validate", "FOLDER"], 3),
        "validate: unknown name": (["validate", "flash-b201"], 3),
        "validate: cannot be": (["validate", "flash-b200", "--set", "parallel.tensor=16"], 4),
        "validate: the most basic wins": (
            ["validate", "flash-b200", "no-such.yaml", "--set", "parallel.tensor=16"], 3),
        "pin: built in": (["pin", "flash-b200"], 3),
        "pin: gate": (["pin", "flash-b200", "--check"], 10),
        "show: neither": (["show"], 2),
        "show: both": (["show", "x", "--builtin", "y"], 2),
        "show: unknown built-in": (["show", "--builtin", "flash-b201"], 2),
        "serve: attached and detached": (["serve", "--attach", "--detach"], 2),
        "doctor: facts and save": (["doctor", "--facts", "hgx-b200", "--save", "FOLDER/x.json"], 2),
        "doctor: no such facts": (["doctor", "--facts", "no-such.json"], 3),
        "doctor: no such host": (["doctor", "--facts", "hgx-b201"], 3),
        "doctor: facts that are a folder": (["doctor", "--facts", "FOLDER/"], 3),
        "doctor: facts that are a config": (["doctor", "--facts", "BAD"], 3),
        "doctor: bundle nowhere": (["doctor", "--facts", "hgx-b200", "--bundle", "FOLDER/no/x.tar.gz"], 3),
        "doctor: skip without reason": (["doctor", "--facts", "hgx-b200", "--skip", "GPU001"], 2),
        "validate: no such facts": (["validate", "flash-b200", "--facts", "no-such.json"], 3),
        "serve: facts without a dry run": (["serve", "--facts", "hgx-b200"], 2),
        "logs: no time": (["logs", "x", "--since", "soon"], 2),
        "logs: no level": (["logs", "x", "--level", "loud"], 2),
        "logs: no pattern": (["logs", "x", "--grep", "("], 2),
        "logs: a saved log does not grow": (["logs", "x", "--last", "--follow"], 2),
        "apply: no such check of the suite": (["apply", "flash-b200", "--skip-smoke", "nonsense=why"], 2),
        "apply: a check without a reason": (["apply", "flash-b200", "--skip-smoke", "tool"], 2),
        "apply: cannot be": (["apply", "flash-b200", "--set", "parallel.tensor=16"], 4),
        "diff: cannot be": (["diff", "flash-b200", "--set", "parallel.tensor=16"], 4),
        "rollback: numbers begin at 1": (["rollback", "x", "0"], 2),
        "facts: nothing to compare": (["facts", "diff", "hgx-b200"], 2),
        "stop: not a number": (["stop", "x", "--timeout", "soon"], 2),
    }  # fmt: skip
    return found


CASES = cases()


@pytest.fixture
def filled(tmp_path: Path) -> Callable[[list[str]], list[str]]:
    """The words of a case with its files made."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_text("name: x\nmodel: flash\nvllm: 0.20\ngpu: b200\n")
    names = {"FOLDER": str(tmp_path / "empty"), "BAD": str(tmp_path / "bad.yaml")}

    def fill(words: list[str]) -> list[str]:
        return [re.sub("FOLDER|BAD", lambda found: names[found[0]], word) for word in words]

    return fill


@pytest.mark.parametrize(("words", "expected"), CASES.values(), ids=CASES)
def test_bad_input_ends_in_its_exit_code_and_is_told_on_stderr(words, expected, run, filled):
    code, out, err = run(*filled(words))
    assert (code, out) == (expected, "")
    assert err.startswith("error: ")
    assert "\x1b" not in err
    assert "Traceback" not in err
    assert "hint: " in err or "  --> " in err
    assert all(line.startswith(("error: ", "  --> ", "  hint: ")) for line in err.splitlines()[:1])


JSON_CASES = {name: case for name, case in CASES.items() if case[0][0] in WITH_JSON and "--output" not in case[0]}


@pytest.mark.parametrize(("words", "expected"), JSON_CASES.values(), ids=JSON_CASES)
def test_scripts_get_the_same_failure_as_one_envelope(words, expected, run, filled):
    code, out, err = run(*filled(words), "--output", "json")
    assert (code, err) == (expected, "")
    envelope(out, words[0], expected)


def test_an_error_says_what_where_and_what_next(run: Run, filled) -> None:
    (path,) = filled(["BAD"])
    _, _, err = run("render-cmd", path)
    assert err == (
        'error: vllm is 0.2; it must be text.\n'
        f"  --> {path}:3\n"
        '  hint: Quote it, in full, as in vllm: "0.20.0": YAML reads 0.20 as the number 0.2.\n'
    )  # fmt: skip


@pytest.mark.parametrize("output", ["human", "json"])
def test_a_name_that_is_no_text_is_told_as_well(output: str, run: Run) -> None:
    code, out, err = run("validate", "no-\udcff\x1b[2J.yaml", "--output", output)
    assert code == 3
    assert "\x1b" not in out + err
    (out + err).encode()


def test_ctrl_c_is_no_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(configs, "load_config", interrupted)
    assert run("plan")[0] == 130


def test_a_bug_is_ours_and_its_report_holds_no_values(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(configs, "load_config", broken)
    code, out, err = run("plan", "--set", "env.A=canary")
    assert (code, out) == (1, "")
    report = Path(re.findall(r"--> (\S+)", err)[0])
    text = report.read_text()
    report.unlink()
    assert "ZeroDivisionError" in text
    assert "canary" not in text + err


# --- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DSV4_COMPLETE", f"source_{shell}")
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "_DSV4_COMPLETE" in out
    assert "dsv4" in out


@pytest.mark.parametrize(
    ("typed", "offered"), [("pl", {"plan"}), ("re", {"render-cmd", "rehearse", "recommend"}), ("zz", set())]
)
def test_commands_are_completed(typed: str, offered: set[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DSV4_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"dsv4 {typed}")
    monkeypatch.setenv("COMP_CWORD", "1")
    code, out, _ = run()
    assert code == 0
    assert set(out.split()) == offered & set(COMMANDS)


@pytest.mark.parametrize(
    "words", [["validate"], ["plan"], ["render-cmd"], ["serve", "--dry-run"], ["fit"], ["rehearse"]]
)
@pytest.mark.parametrize(
    ("code", "value"), [("numa-needs-bind", "engine.numa_bind_nodes=[0]"), ("memory", "parallel.tensor=1")]
)
def test_what_validate_refuses_every_command_refuses(words, code, value, run) -> None:
    exit_code, out, _ = run(words[0], "flash-h200", *words[1:], "--set", value, "--output", "json")
    assert exit_code == 4
    assert [error["code"] for error in json.loads(out)["errors"]] == [code]
