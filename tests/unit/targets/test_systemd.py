"""Units: what stands in them for each kind of deployment. That systemd takes them is tested on the golden files."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.plans import PLANS
from dsv4_launch.targets.systemd import Host, Launches, launches, unit, unit_name, warning

HOST = Host("/usr/local/bin/dsv4", "/etc/dsv4/x.yaml", "root", "/etc/dsv4/x.env")
DOCKER = next(plan for plan in PLANS.values() if plan.target == "docker" and plan.gpus.count)


def lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_docker_waits_for_its_engine_and_the_fabric() -> None:
    text = unit(DOCKER, HOST)
    assert lines(text, "Requires") == ["docker.service"]
    (after,) = lines(text, "After")
    assert {"docker.service", "nvidia-fabricmanager.service"} <= set(after.split())
    (waits,) = lines(text, "ExecStartPre")
    assert waits == "/usr/local/bin/dsv4 doctor /etc/dsv4/x.yaml --wait fabric --timeout 900"
    assert unit_name(DOCKER) == f"dsv4-{DOCKER.name}.service"


def test_native_needs_no_engine_and_a_rehearsal_no_fabric() -> None:
    text = unit(replace(PLANS["rehearsal"], target="native"), HOST)
    assert lines(text, "Requires") == []
    assert lines(text, "ExecStartPre") == []
    assert "docker" not in text
    assert lines(text, "LimitNOFILE") == ["65535"]


@pytest.mark.parametrize("target", ["docker", "native"])
def test_a_watch_that_is_started_again_takes_over_and_one_that_ends_stops_nothing(
    target: Literal["docker", "native"],
) -> None:
    text = unit(replace(DOCKER, target=target), HOST)
    assert lines(text, "ExecStart")[0].endswith("--attach")
    (stop,) = lines(text, "ExecStop")
    shell, flag, script, *words = shlex.split(stop)
    assert (shell, flag) == ("/bin/sh", "-c")
    assert words == ["stop", "/usr/local/bin/dsv4", "stop", DOCKER.name]
    assert script == 'test -z "$$MAINPID" || exec "$$@"'  # $$ is systemd's way to write $


def test_a_crash_loop_is_not_started_again() -> None:
    (codes,) = lines(unit(DOCKER, HOST), "RestartPreventExitStatus")
    assert {"3", "4", "7"} <= set(codes.split())
    assert "5" not in codes.split()  # a host that is not fit yet may become so


def test_the_environment_file_must_be_there_when_secrets_are_named() -> None:
    assert lines(unit(DOCKER, HOST), "EnvironmentFile") == ["-/etc/dsv4/x.env"]
    hook = {"watch": {"on_failure": {"webhook_env": "HOOK_URL"}}}
    text = unit(replace(DOCKER, api_key_env="MY_KEY", config=hook), HOST)
    assert lines(text, "EnvironmentFile") == ["/etc/dsv4/x.env"]
    assert "MY_KEY" in text
    assert "HOOK_URL" in text


def test_patience_of_a_stop_is_longer_than_that_of_the_server() -> None:
    (patience,) = lines(unit(replace(DOCKER, stop_timeout_s=400), HOST), "TimeoutStopSec")
    assert int(patience) > 400


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure:3"])
def test_an_engine_that_starts_it_at_boot_is_warned_of(policy: str) -> None:
    assert policy in warning(replace(DOCKER, container=replace(DOCKER.container, restart=policy)))
    assert warning(replace(DOCKER, container=replace(DOCKER.container, restart="no"))) == ""


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1))
def test_any_path_stays_one_word_and_expands_to_nothing(path: str) -> None:
    """systemd reads quotes and backslashes as a shell does; its own % and $ are doubled."""
    (start,) = lines(unit(DOCKER, replace(HOST, config=f"/{path}")), "ExecStart")
    assert start.replace("%%", "").count("%") == 0
    assert start.replace("$$", "").count("$") == 0
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(start)]
    assert words[2] == f"/{path}"
    assert launches(unit(DOCKER, replace(HOST, config=f"/{path}", skips=(f"NET004={path}",)))) == Launches(
        f"/{path}", "docker", ()
    )


@pytest.mark.parametrize(
    ("more", "config"),
    [
        ("", "/etc/dsv4/x.yaml"),
        ("[Service]\nExecStart=\nExecStart=/opt/dsv4 serve flash-h200 --attach\n", "flash-h200"),
        ("[Service]\nExecStart=\nExecStart=/opt/dsv4 serve \\\n  /y.yaml\n", "/y.yaml"),
        ("[Service]\nExecStart=\nExecStart=/usr/bin/docker start x\n", None),
        ("[Service]\nExecStart=\nExecStart=/opt/dsv4 serve --attach\n", None),
        ("[Service]\nExecStart=\nExecStart=/opt/dsv4 serve 'x\n", None),
        ("[Service]\nExecStart=\n", None),
    ],
)
def test_the_last_command_of_a_unit_and_its_drop_ins_counts(more: str, config: str | None) -> None:
    found = launches(unit(DOCKER, HOST) + "\n" + more)
    assert (found.config if found else None) == config


def test_values_that_a_unit_sets_are_known() -> None:
    text = "[Service]\nExecStart=/opt/dsv4 serve x.yaml --set gpus=auto --target native --set server.port=1 --attach\n"
    assert launches(text) == Launches("x.yaml", "native", ("gpus=auto", "server.port=1"))
