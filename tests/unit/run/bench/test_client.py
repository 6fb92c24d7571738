"""The command and the environment of a load generator: no key in what a container shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.bench.client import KEY_VARIABLE
from dsv4_launch.run.bench.client import KEY_ON_STDIN, Client

KEY = "canary-93b1"
ENVIRON = {"PATH": "/bin", "https_proxy": "http://proxy", KEY_VARIABLE: "another", "VLLM_API_KEY": KEY}
WORDS = ("bench", "serve")


@pytest.mark.parametrize("container", ["served", ""])
def test_a_container_gets_the_key_by_its_stdin_alone(container: str) -> None:
    client = Client(image="vllm:1", container=container)
    command = client.command(WORDS, Path("/s"), "", "load", keyed=True)
    assert KEY_VARIABLE not in command
    after = command[command.index("vllm:1") :]
    assert after[2:] == [KEY_ON_STDIN, "/dsv4-bench/out/watch.jsonl", *WORDS]
    assert client.variables(ENVIRON, KEY) == {"PATH": "/bin"}


def test_without_a_key_none_is_waited_for() -> None:
    client = Client(image="vllm:1")
    assert KEY_ON_STDIN not in client.command(WORDS, Path("/s"), "", "load", keyed=False)


def test_a_question_is_asked_with_the_packages_of_the_load_and_fetches_nothing() -> None:
    client = Client(image="vllm:1", container="served", environment={"HF_HOME": "/hub"})
    asked = client.asking("print(1)", "ask")
    load = client.command(WORDS, Path("/s"), "", "load", keyed=True)
    shared = load[load.index("--volumes-from") : load.index("--entrypoint")]
    assert set(shared) <= set(asked)
    assert asked[asked.index("--pull") + 1] == "never"
    assert asked[asked.index("--entrypoint") :] == ["--entrypoint", "python3", "vllm:1", "-c", "print(1)"]
    assert Client(python="/venv/bin/python").asking("print(1)", "ask") == ["/venv/bin/python", "-c", "print(1)"]
    assert Client(program="/bin/vllm").asking("print(1)", "ask") == []


def test_a_process_of_ours_gets_the_key_by_its_environment() -> None:
    client = Client(python="/venv/bin/python")
    assert KEY_ON_STDIN not in client.command(WORDS, Path("/s"), "", "load", keyed=True)
    assert client.variables(ENVIRON, KEY)[KEY_VARIABLE] == KEY
    assert KEY_VARIABLE not in client.variables(ENVIRON, "")
