"""`dsv4 bench run` of a deployment in a container: the load comes from a container of its image, in its network."""

from __future__ import annotations

import os
import signal

import pytest

from dsv4_launch.run.bench import store
from e2e.bench_box import STANDIN
from e2e.conftest import Node, name_of, until

CANARY = "canary-71c4e0b2aa19"
SMALL = ("--concurrency", "1,2", "--input-len", "16", "--output-len", "4", "--warmup", "1", "--rest", "0")
FEW, MANY = ("--requests-per-concurrency", "3"), ("--requests-per-concurrency", "20000")


def serve(node: Node, **changes: object) -> str:
    """A deployment of the stand-in image, whose Python has the quick client."""
    there = "/usr/lib/python3/dist-packages"
    mounts = [{"source": str(path), "target": f"{there}/{path.name}"} for path in (STANDIN / "quick").iterdir()]
    config = node.config(container={"mounts": mounts}, **changes)
    done = node.dsv4("serve", config, "--detach", env={"BENCH_KEY": CANARY})
    assert done.returncode == 0, done.stderr
    name = name_of(config)
    # Detached, it is not waited for.
    until(
        lambda: node.dsv4("status", name, "--check", env={"BENCH_KEY": CANARY}).returncode == 0, "the server is ready"
    )
    return name


def loads(node: Node, name: str) -> list[str]:
    """Containers in the network of a deployment: its load generators."""
    server = node.docker("inspect", "-f", "{{.Id}}", name)
    ids = node.docker("ps", "--all", "--quiet", "--filter", "name=dsv4-bench-").split()
    mode = "{{.HostConfig.NetworkMode}}"
    return [one for one in ids if node.docker("inspect", "-f", mode, one, check=False) == f"container:{server}"]


def test_the_load_comes_from_the_image_in_the_servers_network(node: Node) -> None:
    name = serve(node, server={"api_key_env": "BENCH_KEY"})
    folder = node.folder / "run"

    done = node.dsv4("bench", "run", name, "--dir", folder, *SMALL, *FEW, env={"BENCH_KEY": CANARY})

    assert done.returncode == 0, done.stderr
    found = store.load(folder)
    assert found.run.state == "complete"
    assert [(point.completed, point.failed) for point in found.points] == [(3, 0), (6, 0)]
    image = found.run.config["container"]["image"]
    print_ = found.run.fingerprint
    assert (print_.target, print_.image, print_.client) == ("docker", image, f"image {image}")
    assert print_.client_vllm == "0.0.0+quick"
    assert print_.image_digest == node.docker("image", "inspect", "-f", "{{.Id}}", image)
    assert found.run.plan_digest == node.docker("inspect", "-f", '{{index .Config.Labels "dsv4.digest"}}', name)
    for measured in found.measured:
        assert measured.side is not None
        words = measured.side.argv
        assert words[:3] == ("docker", "run", "--rm")
        assert words[words.index("--network") + 1] == f"container:{name}"
        # Inside the container's network the server is at its own port, not at the published one.
        assert words[words.index("--base-url") + 1] == "http://127.0.0.1:8000"
        assert measured.side.client.lag_p99_ms is not None or measured.point.duration_s < 1  # type: ignore[union-attr]
    # The tokenizer's folder is the mount that the server reads its model from.
    tokenizer = words[words.index("--tokenizer") + 1]
    mounts = node.docker("inspect", "-f", "{{range .Mounts}}{{.Source}}={{.Destination}} {{end}}", name).split()
    assert f"{node.folder / 'model'}={tokenizer}" in mounts
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any(CANARY in text for text in [*texts, done.stdout, done.stderr])
    until(lambda: loads(node, name) == [], "the load generators are gone")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_load_outlives_the_bench(node: Node, end: signal.Signals) -> None:
    name = serve(node, server={"api_key_env": "BENCH_KEY"})
    folder = node.folder / "run"
    process = node.start("bench", "run", name, "--dir", folder, *SMALL, *MANY, env={"BENCH_KEY": CANARY})
    try:
        until(lambda: loads(node, name), "a load generator")
        # Whoever may use docker sees the variables of a container: the key is none of them.
        assert CANARY not in node.docker("inspect", *loads(node, name))
    finally:
        os.kill(process.pid, end)
        _, err = process.communicate(timeout=150)
    assert process.returncode == (130 if end == signal.SIGINT else -9), err
    until(lambda: loads(node, name) == [], "the load generator is gone")
    assert node.state(name) == "running"
