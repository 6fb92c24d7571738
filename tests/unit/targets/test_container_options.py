"""container.network and container.options: what a person's own `docker run` may hold beyond our fields."""

from __future__ import annotations

import re

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.errors import InputError
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.targets import render


def argv(*overrides: str) -> list[str]:
    return [str(word) for word in render(resolve(load_config("flash-b200", overrides))).command.argv]


def test_host_network_publishes_nothing_and_the_server_binds_its_own_address():
    words = argv("container.network=host", "server.port=8005")
    assert "--network=host" in words
    assert "-p" not in words
    image = words.index("vllm/vllm-openai:v0.20.0")
    assert words[image + 2 : image + 6] == ["--host", "127.0.0.1", "--port", "8005"]


def test_further_options_stand_in_front_of_the_image_with_their_values_on_one_line():
    plan = resolve(load_config("flash-b200", ["container.options=[--device, /dev/infiniband, --init]"]))
    rendered = render(plan)
    words = [str(word) for word in rendered.command.argv]
    at = words.index("--device")
    assert words[at : at + 3] == ["--device", "/dev/infiniband", "--init"]
    assert at < words.index("vllm/vllm-openai:v0.20.0")
    assert at in rendered.breaks
    assert at + 1 not in rendered.breaks


@pytest.mark.parametrize("word", ["--privileged", "--privileged=true"])
def test_privileged_is_refused(word: str):
    with pytest.raises(InputError) as refused:
        argv(f"container.options=['{word}']")
    assert [problem.code for problem in refused.value.problems] == ["privileged"]


def test_hardened_takes_everything_away_that_vllm_does_not_need():
    words = argv("container.hardened=true")
    image = words.index("vllm/vllm-openai:v0.20.0")
    for word in ("--security-opt=no-new-privileges", "--cap-drop=ALL", "--read-only"):
        assert words.index(word) < image
    assert any(word.startswith("--tmpfs=/tmp:") for word in words)
    assert not any("hardened" in word for word in argv() if not word.startswith("dsv4.config="))
    assert "--read-only" not in argv()


def test_a_hardened_command_is_imported_as_what_it_is():
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.cli.convert.converting import imported_text
    from dsv4_launch.targets.shell import oneline

    overrides = ["container.hardened=true", "container.options=[--init]"]
    text = oneline(render(resolve(load_config("flash-b200", overrides))))
    unlabelled = re.sub(r"--label '?dsv4\.config=.*?\}' ", "", text)
    assert "dsv4.config" not in unlabelled
    written, _ = imported_text(unlabelled, "t", None, None)
    assert "hardened: true" in written
    assert "--read-only" not in written
    assert "--init" in written


@pytest.mark.parametrize("word", ["--env=A=b", "-it", "--rm", "--gpus", "--name=x"])
def test_an_option_with_a_field_of_its_own_is_refused(word: str):
    with pytest.raises(InputError) as refused:
        argv(f"container.options=['{word}']")
    assert [problem.code for problem in refused.value.problems] == ["option-misplaced"]


def test_a_secret_among_the_options_is_refused_and_not_shown():
    with pytest.raises(InputError) as refused:
        argv("container.options=['--build-token=abc']")
    assert "abc" not in str(refused.value)
