"""The API key: from a variable, or from a file that its owner alone may read; never in what is printed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from doubles import PLACES, PLAN

from dsv4_launch.cli.configs import load_config
from dsv4_launch.errors import HostError, InputError
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.api_key import key_of, read_key, with_key
from dsv4_launch.targets import render
from dsv4_launch.targets.shell import multiline
from dsv4_launch.values import Ref, joined

KEY = "sk-canary-31f0"


def key_file(folder: Path, text: str = f"{KEY}\n", mode: int = 0o600) -> str:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_private_file_of_one_line_is_read(tmp_path: Path) -> None:
    assert read_key(key_file(tmp_path)) == KEY
    assert read_key(key_file(tmp_path, KEY)) == KEY
    assert read_key(key_file(tmp_path, f"{KEY}\r\n")) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o620])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(HostError, match=f"open to others \\(mode {mode:04o}\\)") as refused:
        read_key(key_file(tmp_path, mode=mode))
    assert refused.value.problems[0].code == "key-file"
    assert "chmod 600" in refused.value.problems[0].fix


@pytest.mark.parametrize("text", ["", "\n", "a b\n", "a\nb\n", "\x1b[31mkey", "schlüssel", "a" * 5000, "key\0"])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(HostError) as refused:
        read_key(key_file(tmp_path, text))
    assert text.strip() == "" or text not in str(refused.value.problems)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(HostError):
            read_key(str(path))


def test_the_key_reaches_the_server_by_name_and_stands_nowhere(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    plan = resolve(load_config("flash-b200", [f"server.api_key_file={path}"]))
    rendered = render(plan)
    assert plan.api_key_env == "VLLM_API_KEY"
    words = [str(word) for word in rendered.command.argv]
    assert words[words.index("VLLM_API_KEY") - 1] == "--env"
    assert with_key(plan, {"A": "b"}, PLACES) == {"A": "b", "VLLM_API_KEY": KEY}
    assert KEY not in plan.to_json() + multiline(rendered)
    assert with_key(PLAN, {"A": "b"}, PLACES) == {"A": "b"}


def test_home_is_filled_in(tmp_path: Path) -> None:
    key_file(tmp_path)
    plan = replace(PLAN, api_key_file=joined(Ref("home"), "/key"), api_key_env="VLLM_API_KEY")
    assert with_key(plan, {}, {**PLACES, "home": str(tmp_path)}) == {"VLLM_API_KEY": KEY}
    assert key_of({"api_key_file": "~/key"}, {"HOME": str(tmp_path)}) == KEY
    assert key_of({"api_key_file": "~/other"}, {"HOME": str(tmp_path)}) == ""
    assert key_of({"api_key_env": "K"}, {"K": "x"}) == "x"
    assert key_of({}, {"": "x"}) == ""


def test_two_sources_of_the_key_are_one_too_many() -> None:
    with pytest.raises(InputError) as refused:
        resolve(load_config("flash-b200", ["server.api_key_file=/k", "server.api_key_env=K"]))
    assert [problem.code for problem in refused.value.problems] == ["key-twice"]
