"""Text that others wrote (logs, configs, servers, benchmark runs) cannot steer a terminal, lead out of a folder or eat
the memory, whichever command shows it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dsv4_launch.bench.results import dump
from dsv4_launch.cli import drivers, show
from dsv4_launch.cli.apply import histories
from dsv4_launch.cli.main import main
from dsv4_launch.errors import Problem
from dsv4_launch.run.history.entries import Entry
from dsv4_launch.run.logs import saved as saved_logs
from dsv4_launch.run.progress import LiveProgress, Now, PlainProgress
from dsv4_launch.run.service import Seen
from dsv4_launch.run.smoke import suite
from dsv4_launch.run.watch import lock as watch_lock
from unit.bench import runs

# Set the title, clear the screen, colour by a C1 code, rich's markup, backspace, DEL.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]x[/red]\b\x7f"
OOM = f"{HOSTILE} torch.OutOfMemoryError: CUDA out of memory. {HOSTILE}"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ROOT = Path(__file__).parents[2]
CONFIG = {
    "name": "x",
    "model": "flash",
    "vllm": "0.20.0",
    "gpu": "b200",
    "server": {"served_model_name": f"m{HOSTILE}"},
}


class HostileDriver:
    """Has one service that died, all texts of which are hostile."""

    lines = (f"INFO {HOSTILE}", OOM, f"ValueError: {HOSTILE}")

    def find(self, name: str) -> Seen | None:
        return Seen(
            "x", "docker", "exited", HOSTILE, CONFIG, HOSTILE, "http://127.0.0.1:9", "2026-11-23T17:00:00Z",
            exit_code=1, error=OOM, restart="always", image=HOSTILE,
        ) if name == "x" else None  # fmt: skip

    def all(self) -> list[Seen]:
        return [seen for seen in [self.find("x")] if seen]

    def logs(self, name: str, **_: object) -> Iterator[str]:
        return iter(self.lines)

    def stop(self, name: str, timeout_s: float) -> None:
        """It is over already."""

    def remove(self, name: str) -> None:
        """It stays for the next test."""


def smoked(*_: object) -> suite.Report:
    """A server that says hostile things."""
    checks = (
        suite.Outcome("chat", "a completion", "fail", HOSTILE, "D34", 1.0),
        suite.Outcome("stop", "stop sequences", "not applicable", HOSTILE, "", 1.0),
    )
    for told in filter(callable, _):
        for check in checks:
            told(check)
    return suite.Report("http://127.0.0.1:9", HOSTILE, HOSTILE, False, checks, 1.0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a hostile log, config and benchmark run, on a machine with a hostile deployment."""
    monkeypatch.setenv("DSV4_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(drivers, "driver_of", lambda _: HostileDriver())
    monkeypatch.setattr(drivers, "_drivers", lambda _: iter([HostileDriver()]))
    monkeypatch.setattr(watch_lock, "_address", lambda *_: f"\0dsv4-test-{os.getpid()}")  # other tests watch an x too
    monkeypatch.setattr(watch_lock, "_changes", lambda *_: f"\0dsv4-test-change-{os.getpid()}")
    entry = Entry(1, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, {})
    monkeypatch.setattr(histories, "read", lambda *_: ([("x", entry)], []))
    monkeypatch.setattr(suite, "smoke_test", smoked)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.log").write_text("\n".join(HostileDriver.lines))
    saved_logs.save("x", HostileDriver.lines, {"DSV4_STATE_DIR": str(tmp_path / "state")})
    hostile = json.dumps(HOSTILE)
    (tmp_path / "x.yaml").write_text(
        f'name: x\nmodel: flash\nvllm: "0.20.0"\ngpu: b200\nengine: {{{hostile}: {hostile}}}\n'
    )
    (tmp_path / "good.yaml").write_text('name: x\nmodel: flash\nvllm: "0.20.0"\ngpu: b200\nparallel: {tensor: 4}\n')
    (tmp_path / "launch.txt").write_text(f"docker run --gpus all vllm/vllm-openai:v0.20.0 m --nonsense '{HOSTILE}'\n")
    for name in ("a", "b"):
        run = runs.run(f"{name}{HOSTILE}", levels=(1,), model=HOSTILE)
        (tmp_path / name / "points").mkdir(parents=True)
        (tmp_path / name / "run.json").write_text(dump(run))
        for planned in run.points:
            side = runs.side(planned, "failed", why=HOSTILE)
            (tmp_path / name / "points" / f"{planned.key}.json").write_text(json.dumps(runs.raw(1)))
            (tmp_path / name / "points" / f"{planned.key}.side.json").write_text(dump(side))
    return tmp_path


COMMANDS = {
    "status": (["status"], 0),
    "status of one": (["status", "x"], 0),
    "logs": (["logs", "x"], 0),
    "logs by a pattern": (["logs", "x", "--grep", "memory"], 0),
    "logs that were saved": (["logs", "x", "--last"], 0),
    "diagnose": (["diagnose", "x"], 0),
    "diagnose a file": (["diagnose", "./server.log"], 0),
    "advisories of a log": (["advisories", "--match", "server.log"], None),
    "history": (["history"], 0),
    "diff": (["diff", "good.yaml", "x"], None),
    "show": (["show", "x"], 0),
    "watch": (["watch", "x"], 7),
    "stop": (["stop", "x"], 0),
    "smoke": (["smoke", "--url", "http://127.0.0.1:9", "--junit", "smoke.xml"], 8),
    "bench compare": (["bench", "compare", "a", "b"], None),
    "bench report": (["bench", "report", "a", "--out", "report"], None),
    "validate": (["validate", "x.yaml"], 3),
    "plan": (["plan", "x.yaml"], 3),
    "a name": (["status", HOSTILE], None),
    "an option": (["status", f"--{HOSTILE}"], 2),
    "lint": (["lint", "launch.txt"], None),
    "import": (["import", "launch.txt"], None),
}  # fmt: skip


@pytest.mark.parametrize("output", ["human", "json"])
@pytest.mark.parametrize("case", COMMANDS)
def test_no_command_lets_a_control_character_through(
    case: str, output: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, wanted = COMMANDS[case]
    code = main([*words, "--output", output])
    said = capsys.readouterr()
    assert code == wanted if wanted is not None else code in (0, 3, 4, 10), said.err
    assert not CONTROL.search(said.out + said.err)
    assert said.out + said.err
    if output == "json":
        assert json.loads(said.out)["exit_code"] == code
    assert not [path for path in here.rglob("*") if CONTROL.search(str(path))], "a file that is named so"
    if "--junit" in words:
        assert not CONTROL.search((here / "smoke.xml").read_text())


def test_progress_on_a_terminal_or_not_lets_none_through() -> None:
    lines, screen = list[str](), StringIO()
    live = LiveProgress(Console(file=screen, force_terminal=True, width=200), lines.append)
    for progress in (PlainProgress(lines.append), live):
        progress.say(HOSTILE)
        progress.show(Now(HOSTILE, 1, 2, detail=HOSTILE))
        progress.say(HOSTILE)
        progress.close()
    assert not CONTROL.search("".join(lines))
    # What is left are rich's own codes: none of those that came.
    assert not re.search("owned\x07|\x9b|\x1b\\]|\x1b\\[2J|\x7f", screen.getvalue())
    assert "[red]x[/red]" in screen.getvalue()


def test_what_is_said_is_clean_even_where_nobody_cleaned_it(capsys: pytest.CaptureFixture[str]) -> None:
    show.say(HOSTILE)
    show.note(HOSTILE)
    show.problem(Problem("x", HOSTILE, HOSTILE, HOSTILE))
    show.envelope("x", 0, {"text": HOSTILE, HOSTILE: 1})
    said = capsys.readouterr()
    assert not CONTROL.search(said.out + said.err)
    assert json.loads(said.out.splitlines()[-1])["data"] == {"text": HOSTILE, HOSTILE: 1}, "JSON says all of it"


LEADING_OUT = ("../../outside", "..", "/etc/passwd", "a/../../outside", ".", "~/x", "x\0y")
NAMING: dict[str, Callable[[str], list[str]]] = {
    "logs": lambda name: ["logs", name, "--last"],
    "history": lambda name: ["history", name],
    "stop": lambda name: ["stop", name],
    "show": lambda name: ["show", name],
    "cache prune": lambda name: ["cache", "prune", name, "--yes"],
    "weights rm": lambda name: ["weights", "rm", name, "--yes"],
}


@pytest.mark.parametrize("command", NAMING)
@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_name_cannot_lead_out_of_a_folder(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "a/b/home"
    home.mkdir(parents=True)
    for variable, folder in {"HOME": "", "XDG_CACHE_HOME": "cache", "HF_HOME": "hf", "DSV4_STATE_DIR": "state"}.items():
        monkeypatch.setenv(variable, str(home / folder))
    for place in ("state/logs/x", "state/history/x", "state/services/x", "cache/dsv4/caches/x", "hf/hub/models--a--b"):
        (home / place).mkdir(parents=True)
    outside = [home / "state/outside", home / "state/logs/outside", home / "cache/dsv4/outside", tmp_path / "outside"]
    for folder in outside:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1.log").write_text("private")
        (folder / "000001.json").write_text("{}")
    monkeypatch.setattr(drivers, "_drivers", lambda _: iter([drivers.driver_of("native")]))
    monkeypatch.setattr(histories, "drivers", drivers)
    before = sorted(map(str, tmp_path.rglob("*")))
    code = main(NAMING[command](name))
    said = capsys.readouterr()
    assert code != 1, said.err
    assert "private" not in said.out + said.err
    assert sorted(map(str, tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_config_cannot_name_a_deployment_so(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f'name: {json.dumps(name)}\nmodel: flash\nvllm: "0.20.0"\ngpu: b200\n')
    assert main(["validate", str(path)]) == 3
    assert not CONTROL.search(capsys.readouterr().err)


BOMBS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: x\n",
    "a merge": "a: &a {x: 1}\nb: {<<: *a}\n",
    "depth": "[" * 100_000,
    "mappings in depth": "{a: " * 5_000,
    "size": "name: " + "x" * 2_000_000,
    "a tag": "name: !!python/object/apply:os.system ['touch owned']\n",
    "a long number": "name: x\nengine: {max_num_seqs: " + "9" * 100_000 + "}\n",
    "a long key": "x" * 100_000 + ": 1\n",
    "no text": "\x00\x01\x02",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_yaml_bomb_is_refused_and_runs_nothing(
    bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(BOMBS[bomb])
    assert main(["validate", "c.yaml"]) == 3
    said = capsys.readouterr()
    assert len(said.out + said.err) < 20_000
    assert not CONTROL.search(said.out + said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("words", [("diagnose",), ("advisories", "--match")])
def test_a_line_of_a_gigabyte_does_not_eat_the_memory(words: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("wb") as file:
        file.write(OOM.encode())
        file.truncate(1 << 30)  # a hole: one line of zero bytes
    code = "import sys; from dsv4_launch.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *words, str(log)],
        capture_output=True, text=True, timeout=280, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "D69" in done.stdout
    assert len(done.stdout) < 5_000
