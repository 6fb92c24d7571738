"""Image and weights are fetched before a launch: with progress, with a limit where none is made, with plain reasons."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.errors import ToolError, WeightsError
from dsv4_launch.host.docker import connect
from dsv4_launch.host.docker_address import Endpoint
from dsv4_launch.run.images import ensure_image
from dsv4_launch.run.progress import Now
from dsv4_launch.run.weights.pull import Pull, pull_weights
from e2e.conftest import Node
from e2e.registry import image, model, served

REPO = "someone/small"
WEIGHTS = os.urandom(3_000_000)
FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}


class Seen:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.now: list[Now] = []
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, now: Now) -> None:
        self.now.append(now)

    def close(self) -> None:
        pass


@pytest.fixture
def client(node: Node) -> Iterator[object]:
    made = connect(Endpoint(node.env["DOCKER_HOST"], ""), 60)
    yield made
    made.close()


def test_an_image_is_pulled_with_one_total_and_only_once(node: Node, client: object) -> None:
    routes, _ = image("team/thing", "v0.20.0", 30_000_000)
    with served(routes) as port:
        ref, seen = f"127.0.0.1:{port}/team/thing:v0.20.0", Seen()
        try:
            assert ensure_image(client, ref, seen) is True
            assert ensure_image(client, ref, Seen()) is False
        finally:
            node.docker("rmi", ref, check=False)
    counted = [now.done for now in seen.now]
    assert counted == sorted(counted)
    assert seen.now[-1].done == seen.now[-1].total > 29_000_000
    assert len({now.total for now in seen.now if now.total}) == 1
    assert seen.now[-1].detail == "1 of 1 layer ready"


def test_an_unknown_tag(client: object) -> None:
    with served({"/v2/": (200, {}, b"{}")}) as port, pytest.raises(ToolError) as refused:
        ensure_image(client, f"127.0.0.1:{port}/team/thing:v9", Seen())
    assert refused.value.problems[0].code == "image-not-found"


def test_a_private_registry(client: object) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]})
    denied = (403, {"Content-Type": "application/json"}, body.encode())
    routes = {"/v2/": (200, {}, b"{}"), "/v2/team/thing/manifests/v1": denied}
    with served(routes) as port, pytest.raises(ToolError) as refused:
        ensure_image(client, f"127.0.0.1:{port}/team/thing:v1", Seen())
    assert refused.value.problems[0].code == "registry-denied"
    assert "docker login" in refused.value.problems[0].fix


def test_a_pull_that_stands_still_is_given_up(node: Node) -> None:
    routes, blob = image("team/stuck", "v1", 3_000_000)
    client = connect(Endpoint(node.env["DOCKER_HOST"], ""), 3)
    with served(routes, frozenset({blob})) as port, pytest.raises(ToolError) as refused:
        ensure_image(client, f"127.0.0.1:{port}/team/stuck:v1", Seen(), no_progress_s=3)
    assert refused.value.problems[0].code == "pull-stalled"


def hub(folder: Path, port: int) -> dict[str, str]:
    keep = {name: os.environ[name] for name in ("PATH",)}
    return {**keep, "HOME": str(folder), "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_DISABLE_XET": "1"}


def fetch(folder: Path, port: int, no_progress_s: float = 30, **more: str) -> tuple[str, Seen]:
    seen = Seen()
    wanted = Pull(REPO, "", str(folder / "hub"), "MY_TOKEN")
    return pull_weights(wanted, {**hub(folder, port), **more}, seen, no_progress_s=no_progress_s), seen


def test_weights_are_pulled_into_the_hub_cache(tmp_path: Path) -> None:
    with served(model(REPO, FILES)) as port:
        path, seen = fetch(tmp_path, port)
    assert (Path(path) / "model.safetensors").read_bytes() == WEIGHTS
    assert Path(path).is_relative_to(tmp_path / "hub")
    assert max(now.done for now in seen.now) <= 3_000_100


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "weights-gated"),
        (404, {"X-Error-Code": "RepoNotFound"}, "weights-no-repo"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "weights-no-revision"),
        (429, {}, "weights-rate-limit"),
    ],
)
def test_why_the_hub_refuses(tmp_path: Path, status: int, headers: dict[str, str], code: str) -> None:
    routes = dict.fromkeys(model(REPO, FILES), (status, headers, b"{}"))
    with served(routes) as port, pytest.raises(WeightsError) as refused:
        fetch(tmp_path, port)
    problem = refused.value.problems[0]
    assert problem.code == code, problem
    assert code != "weights-gated" or f"https://huggingface.co/{REPO}" in problem.fix


def test_a_hub_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as refused:
        fetch(tmp_path, 9)
    assert refused.value.problems[0].code == "weights-unreachable", refused.value.problems[0]


def test_a_download_that_stands_still_is_given_up_and_goes_on_later(tmp_path: Path) -> None:
    routes = model(REPO, FILES)
    stuck = frozenset(path for path in routes if path.endswith("/model.safetensors"))
    with served(routes, stuck) as port, pytest.raises(WeightsError) as refused:
        fetch(tmp_path, port, no_progress_s=3)
    assert refused.value.problems[0].code == "weights-stalled"
    with served(routes) as port:
        path, _ = fetch(tmp_path, port)
    assert (Path(path) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "hub"
    small.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=1m tmpfs {small}") != 0:
        pytest.skip("a small disk needs root")
    try:
        with served(model(REPO, FILES)) as port, pytest.raises(WeightsError) as refused:
            fetch(tmp_path, port)
        assert refused.value.problems[0].code == "weights-no-room", refused.value.problems[0]
    finally:
        os.system(f"umount {small}")


def test_complete_weights_need_no_hub(node: Node) -> None:
    """With everything in the cache, `serve` starts where no Hub can be reached."""
    repo = "deepseek-ai/DeepSeek-V4-Flash"
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"x" * 1000}
    with served(model(repo, files)) as port:
        wanted = Pull(repo, "", str(node.folder / ".cache/huggingface/hub"), "HF_TOKEN")
        pull_weights(wanted, hub(node.folder, port), Seen())
    config = node.config(model={"repo": repo})
    config.write_text(
        config.read_text().replace(f"  path: {node.folder}/model\n", "").replace("  variant: flash\n", "")
    )
    done = node.dsv4("serve", config, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
