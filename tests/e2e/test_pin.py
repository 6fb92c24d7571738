"""`dsv4 pin` against a Hub and a registry on the loopback address, through a real engine and the real Hub client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml

from dsv4_launch.run.images import ensure_image
from dsv4_launch.run.progress import Silent
from e2e.conftest import Result, command
from e2e.loopback import Hub, Registry
from e2e.loopback.hub import HubModel
from e2e.loopback.registry import digest_of, manifest_list, tiny_image
from e2e.ports import free_port

REPO = "deepseek-ai/DeepSeek-V4-Flash"
FIRST, SECOND, OTHER = "1" * 20 + "a" * 20, "2" * 20 + "b" * 20, "3" * 20 + "c" * 20
TEXT = """\
# Ours.
name: pinned   # as the ticket says

model: flash  # the preview
vllm: "0.20.0"
gpu: b200
parallel: {tensor: 4, expert: true}

container:
  image: IMAGE  # the mirror
  # shm_size: 64g
"""


@dataclass
class Place:
    """A config file, the two registries that it is pinned from, and the environment that leads to them."""

    config: Path
    hub: Hub
    registry: Registry
    env: dict[str, str]
    image: str

    def pin(self, *words: str, env: dict[str, str] | None = None) -> Result[str]:
        return subprocess.run(
            command("pin", self.config, *words),
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=150,
        )

    def pinned(self, image: str | None = None) -> str:
        return f"{image or self.image}@{digest_of(self.registry.images['mirror/vllm-openai:v0.20.0'])}"


@pytest.fixture
def place(rig: dict[str, str], tmp_path: Path) -> Iterator[Place]:
    models = {REPO: HubModel({"main": FIRST, "v1": SECOND})}
    images = {"mirror/vllm-openai:v0.20.0": manifest_list("one"), "mirror/vllm-openai:latest": manifest_list("new")}
    with Hub(models) as hub, Registry(images) as registry:
        image = f"{registry.address}/mirror/vllm-openai:v0.20.0"
        config = tmp_path / "ours.yaml"
        config.write_text(TEXT.replace("IMAGE", image))
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env = {**keep, "HOME": str(tmp_path), **rig, "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        yield Place(config, hub, registry, env, image)


def test_both_are_read_and_written_and_nothing_else_changes(place: Place) -> None:
    place.config.chmod(0o640)
    done = place.pin()
    assert done.returncode == 0, done.stderr
    model = f"model:  # the preview\n  repo: {REPO}\n  revision: {FIRST}\n  variant: flash\n"
    wanted = TEXT.replace("model: flash  # the preview\n", model).replace("IMAGE", place.pinned())
    assert place.config.read_text() == wanted
    assert place.config.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in place.config.parent.iterdir() if path.suffix == ".yaml"] == ["ours.yaml"]
    assert f"{place.config}:6: model {REPO} at {FIRST}, as {place.hub.url} says" in done.stdout
    assert f"{place.config}:13: image {place.pinned()}" in done.stdout
    assert f"{place.config}: written" in done.stdout

    # What is pinned stays valid, and what runs is what was pinned.
    rendered = subprocess.run(
        command("render-cmd", place.config, "--format", "json"), env=place.env, capture_output=True, text=True
    )
    argv = json.loads(rendered.stdout)
    assert place.pinned() in argv
    assert argv[argv.index("--revision") + 1] == FIRST

    again = place.pin()
    assert (again.returncode, place.config.read_text()) == (0, wanted)
    assert "unchanged" in again.stdout
    assert place.pin("--check").returncode == 0


def test_what_was_pinned_is_what_is_pulled(place: Place) -> None:
    """The engine takes ``name:tag@digest``: it pulls the digest, whatever the tag is by then, and finds it again."""
    manifest, place.registry.blobs = tiny_image("first")
    place.registry.images["mirror/vllm-openai:v0.20.0"] = manifest
    assert place.pin().returncode == 0
    pinned = place.pinned()
    later, _ = tiny_image("second")
    place.registry.images["mirror/vllm-openai:v0.20.0"] = later
    place.registry.images["mirror/vllm-openai:kept"] = manifest

    client = docker.DockerClient(base_url=place.env["DOCKER_HOST"])
    try:
        assert ensure_image(client, pinned, Silent()) is True
        assert ensure_image(client, pinned, Silent()) is False
        found = client.api.inspect_image(pinned)
        assert found["RepoDigests"] == [f"{place.image.rpartition(':')[0]}@{digest_of(manifest)}"]
        client.api.remove_image(found["Id"])
    finally:
        client.close()


def test_check_writes_nothing_and_asks_nobody_when_there_is_no_pin(place: Place) -> None:
    before = place.config.read_bytes()
    done = place.pin("--check", "--output", "json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["exit_code"], said["command"]) == (10, 10, "pin")
    assert [error["code"] for error in said["errors"]] == ["image-not-pinned", "model-not-pinned"]
    assert [error["where"] for error in said["errors"]] == [f"{place.config}:10", f"{place.config}:4"]
    assert (place.config.read_bytes(), place.hub.asked, place.registry.asked) == (before, [], [])


def test_a_moved_tag_fails_the_check_and_pin_follows_it(place: Place) -> None:
    assert place.pin().returncode == 0
    old = place.pinned()
    place.registry.images["mirror/vllm-openai:v0.20.0"] = manifest_list("two")
    before = place.config.read_bytes()
    done = place.pin("--check")
    assert (done.returncode, done.stdout, place.config.read_bytes()) == (10, "", before)
    assert old.partition("@")[2] in done.stderr
    assert place.pinned().partition("@")[2] in done.stderr
    assert place.pin().returncode == 0
    assert yaml.safe_load(place.config.read_text())["container"]["image"] == place.pinned() != old


def test_a_commit_stays_when_the_repository_goes_on(place: Place) -> None:
    assert place.pin().returncode == 0
    before = place.config.read_bytes()
    place.hub.models[REPO].revisions = {"main": OTHER, "old": FIRST}
    done = place.pin()
    assert (done.returncode, place.config.read_bytes()) == (0, before)
    assert OTHER in done.stderr  # it is said, not done
    assert place.pin("--check").returncode == 0

    # But a commit that the Hub does not have is no pin.
    place.hub.models[REPO].revisions = {"main": OTHER}
    done = place.pin("--check")
    assert done.returncode == 10
    assert FIRST in done.stderr
    done = place.pin()
    assert (done.returncode, place.config.read_bytes()) == (3, before)
    assert f"{place.config}:6" in done.stderr


def test_a_branch_or_tag_becomes_the_commit_that_it_is_now(place: Place) -> None:
    model = f"model: {{repo: {REPO}, revision: v1}}"
    place.config.write_text(place.config.read_text().replace("model: flash", model))
    assert "v1" in place.pin("--check").stderr
    assert place.pin().returncode == 0
    assert f"model: {{repo: {REPO}, revision: {SECOND}}}  # the preview\n" in place.config.read_text()


def test_the_official_image_is_asked_for_when_the_config_names_none(place: Place) -> None:
    text = place.config.read_text()
    place.config.write_text(text[: text.index("container:")])
    before = place.config.read_bytes()
    done = place.pin()
    # No registry can be reached from here but the loopback one; the name that was asked for is what matters.
    assert done.returncode in (0, 6)
    if done.returncode == 6:
        assert "vllm/vllm-openai:v0.20.0" in done.stderr
        assert place.config.read_bytes() == before


def test_an_image_without_a_tag_gets_the_one_that_it_means(place: Place) -> None:
    untagged = place.image.rpartition(":")[0]
    place.config.write_text(place.config.read_text().replace(place.image, untagged))
    assert place.pin().returncode == 0
    digest = digest_of(place.registry.images["mirror/vllm-openai:latest"])
    assert yaml.safe_load(place.config.read_text())["container"]["image"] == f"{untagged}:latest@{digest}"


def test_nothing_is_written_when_one_of_the_two_fails(place: Place) -> None:
    before = place.config.read_bytes()
    del place.registry.images["mirror/vllm-openai:v0.20.0"]
    done = place.pin()
    assert (done.returncode, done.stdout) == (6, "")
    assert f"no image {place.image}" in done.stderr
    assert place.hub.asked
    done = place.pin(env={"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
    assert done.returncode == 6
    assert "HF_ENDPOINT" in done.stderr
    assert place.config.read_bytes() == before
    assert list(place.config.parent.glob(".ours*")) == []


@pytest.mark.parametrize("engine", ["down", "nobody"])
def test_without_an_engine_nobody_can_be_asked(place: Place, engine: str, tmp_path: Path) -> None:
    address = tmp_path / "docker.sock"
    if engine == "nobody":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(address))
    before = place.config.read_bytes()
    done = place.pin(env={"DOCKER_HOST": f"unix://{address}"})
    assert (done.returncode, place.config.read_bytes()) == (6, before)
    assert "hint: " in done.stderr
    assert "on a machine that has one" in done.stderr


def test_a_registry_that_is_away_is_told_with_the_image(place: Place) -> None:
    gone = place.image.replace(place.registry.address, f"127.0.0.1:{free_port()}")
    place.config.write_text(place.config.read_text().replace(place.image, gone))
    done = place.pin()
    assert done.returncode == 6
    assert f"The registry of {gone} cannot be reached." in done.stderr


def test_the_token_that_the_config_names_is_used_and_never_shown(place: Place) -> None:
    place.config.write_text(place.config.read_text() + "secrets: {hf_token: OUR_TOKEN}\n")
    place.hub.models[REPO].token = "hf_canary"
    place.hub.models[REPO].gated = True
    refused = place.pin(env={"HF_TOKEN": "hf_wrong_canary"})
    assert refused.returncode == 6
    assert "export OUR_TOKEN=" in refused.stderr
    done = place.pin(env={"OUR_TOKEN": "hf_canary"})
    assert done.returncode == 0, done.stderr
    everything = refused.stdout + refused.stderr + done.stdout + done.stderr + place.config.read_text()
    assert "canary" not in everything
    assert all("authorization" not in asked.headers for asked in place.registry.asked)


def test_a_model_that_the_hub_does_not_have(place: Place) -> None:
    place.config.write_text(place.config.read_text().replace("model: flash", "model: {repo: a/b, variant: flash}"))
    done = place.pin()
    assert done.returncode == 6
    assert "The Hub has no model a/b" in done.stderr
    assert f"{place.config}:4" in done.stderr


def test_a_native_deployment_needs_no_engine(place: Place, tmp_path: Path) -> None:
    text = place.config.read_text()
    place.config.write_text(text[: text.index("container:")] + "target: {type: native}\n")
    done = place.pin("--output", "json", env={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert (data["written"], data["image"], data["repo"], data["commit"]) == (True, "", REPO, FIRST)
    assert "image" not in place.config.read_text()


def test_built_in_configs_and_rehearsals_are_left_alone(place: Place) -> None:
    for name, code, said in (
        ("flash-b200", 3, "dsv4 show --builtin flash-b200 > my.yaml"),
        ("rehearsal-cpu", 3, "not edited in place"),
    ):
        done = subprocess.run(command("pin", name), env=place.env, capture_output=True, text=True, timeout=150)
        assert (done.returncode, said in done.stderr) == (code, True)
    place.config.write_text("name: r\nmodel: flash\ngpu: cpu\n")
    done = place.pin()
    assert (done.returncode, "nothing to pin" in done.stderr) == (4, True)


def test_a_link_stays_a_link(place: Place) -> None:
    link = place.config.with_name("link.yaml")
    link.symlink_to(place.config)
    done = subprocess.run(command("pin", link), env=place.env, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert FIRST in place.config.read_text()


def test_a_file_that_cannot_be_written_is_said(place: Place) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes anywhere")
    place.config.parent.chmod(0o500)
    done = place.pin()
    place.config.parent.chmod(0o700)
    assert (done.returncode, "cannot be written" in done.stderr) == (3, True)
