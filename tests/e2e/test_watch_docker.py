"""`dsv4 watch`, an attached `serve`, live status and the wait for the fabric, on containers of the real engine."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

from e2e import conftest, here
from e2e.conftest import Node, envelope, name_of, url_of
from e2e.nvml_shim import topology_file

CANARY = "canary-7ad1e09b44-not-for-anyone"
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


def until(true: Callable[[], object], what: str) -> None:
    """With the patience that a busy machine needs."""
    conftest.until(true, what, 90)


def ready(node: Node, name: str) -> bool:
    return here.dsv4(node.env, "status", name, "--check").returncode == 0


def watched(node: Node, name: str) -> bool:
    return "unwatched" not in here.dsv4(node.env, "status", name, "--window", "0").stdout


def told(node: Node) -> list[dict[str, object]]:
    file = node.folder / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def rules(node: Node, **more: object) -> dict[str, object]:
    """Quick rules, and a command that writes down what it is told."""
    program = node.folder / "tell"
    program.write_text(f"#!/bin/sh\n(cat; echo; env >&3) >> {node.folder}/told.jsonl 3>> {node.folder}/env\n")
    program.chmod(0o755)
    return {"backoff_s": 0.1, "on_failure": {"command": [str(program)]}, **more}


def files(node: Node) -> dict[str, object]:
    """A folder that the container sees too: what lies there makes the stand-in crash or stall."""
    folder = node.folder / "shared"
    folder.mkdir(exist_ok=True)
    return {"mounts": [{"source": str(folder), "target": "/shared", "read_only": False}]}


def test_a_killed_container_is_started_again_with_its_key(node: Node) -> None:
    """Died, started again by `docker start`, watcher killed -9 and replaced, a crash loop that ends, no secret told."""
    config = node.config(
        standin={"CRASH_FILE": "/shared/crash", "LAST_LINES": OOM},
        container=files(node),
        server={"api_key_env": "NODE_KEY"},
        watch=rules(node, max_restarts=3),
    )
    name, key = name_of(config), {"NODE_KEY": CANARY}
    detached = node.dsv4("serve", config, "--detach", env=key)
    assert detached.returncode == 0, detached.stderr
    assert f"dsv4 watch {name}" in detached.stdout
    until(lambda: ready(node, name), "ready")
    first = node.start("watch", name, env=key)
    until(lambda: watched(node, name), "watched")
    node.docker("kill", name)
    until(lambda: told(node) and ready(node, name), "started again")
    request = urllib.request.Request(f"{url_of(config)}/v1/models", headers={"Authorization": f"Bearer {CANARY}"})
    with urllib.request.urlopen(request, timeout=150) as answer:
        assert answer.status == 200  # the container has kept its key
    first.kill()
    first.communicate()
    until(lambda: not watched(node, name), "unwatched")
    second = node.start("watch", name, "--output", "json", env=key)
    until(lambda: watched(node, name), "watched again")
    (node.folder / "shared/crash").touch()
    out, err = second.communicate(timeout=150)
    assert second.returncode == 7, err
    failed = json.loads(out)
    assert failed["errors"][0]["code"] == "crash-loop"
    events = told(node)
    assert [event["event"] for event in events] == ["died", "died", "died", "crash-loop"]
    assert events[0]["exit_code"] == 137
    assert failed["errors"][1]["code"] == events[-1]["advisory"] != ""
    after = envelope(node.dsv4("status", name, "--output", "json", env=key))
    (one,) = after["data"]["deployments"]  # type: ignore[index]
    assert (one["state"], one["restarts"], one["last_failure"]["event"]) == ("failed", 3, "crash-loop")
    texts = [out, err, detached.stdout, json.dumps(events), (node.folder / "env").read_text(), json.dumps(after)]
    assert not [text for text in texts if CANARY in text]


def test_what_the_engine_restarts_is_counted_and_given_up(node: Node) -> None:
    config = node.config(
        standin={"CRASH_FILE": "/shared/crash"},
        container=files(node),
        target={"type": "docker", "restart": "always"},
        watch=rules(node, max_restarts=2),
    )
    name = name_of(config)
    assert node.dsv4("serve", config, "--detach").returncode == 0
    until(lambda: ready(node, name), "ready")
    watching = node.start("watch", config)
    until(lambda: watched(node, name), "watched")
    (node.folder / "shared/crash").touch()
    _, err = watching.communicate(timeout=150)
    assert watching.returncode == 7, err
    assert "2 restarts did not help" in err
    assert "It is given up and stopped." in err
    assert node.state(name) == "exited"  # the engine does not go on after a stop
    assert {event["action"] for event in told(node)[:-1]} <= {"Its restart policy (always) starts it again."}


def test_attached_serve_restarts_a_hang_and_follows_the_log(node: Node) -> None:
    config = node.config(
        standin={"STALL_FILE": "/shared/stall"},
        container=files(node),
        watch=rules(node, hang_s=2, on_hang="restart"),
    )
    name = name_of(config)
    serving = node.start("serve", config, "--attach")
    until(lambda: ready(node, name) and watched(node, name), "ready and watched")
    before = node.docker("inspect", "-f", "{{.State.StartedAt}}", name)
    stall = node.folder / "shared/stall"
    stall.touch()
    until(lambda: told(node), "the hang is told")
    stall.unlink()
    until(lambda: node.docker("inspect", "-f", "{{.State.StartedAt}}", name) != before, "started again")
    until(lambda: ready(node, name), "ready again")
    assert serving.stdout
    until(lambda: "startup complete" in serving.stdout.readline(), "the log of its second life is followed")
    os.kill(serving.pid, signal.SIGINT)
    _, err = serving.communicate(timeout=150)
    assert serving.returncode == 0, err
    assert told(node)[0]["event"] == "hang"
    assert "requests run and" in err
    assert node.state(name) == "running"


def test_status_tells_metrics_gpus_and_which_values_differ(node: Node) -> None:
    config = node.config()
    name = name_of(config)
    assert node.dsv4("serve", config).returncode == 0
    body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    watching = node.start("status", "--watch", "--window", "30", name)
    lines: list[str] = []
    assert watching.stdout
    lines.append(watching.stdout.readline())
    request = urllib.request.Request(
        f"{url_of(config)}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=150).close()
    while "ttft p50" not in lines[-1]:
        lines.append(watching.stdout.readline())
        assert lines[-1], "it ended"
    os.kill(watching.pid, signal.SIGINT)
    watching.communicate(timeout=150)
    assert watching.returncode == 0
    assert all(f"{name}: ready" in line for line in lines)

    (one,) = envelope(node.dsv4("status", name, "--output", "json", "--window", "0.2"))["data"]["deployments"]  # type: ignore[index]
    assert (one["state"], one["vllm"], one["watcher"], one["restart"]) == ("ready", "0.20.0", "", "no")
    assert one["uptime_s"] > 0
    assert one["serving"]["generation_tokens"] > 0
    assert one["serving"]["window"]["seconds"] >= 0.2
    assert [gpu["index"] for gpu in one["gpus_now"]] == [0, 1, 2, 3]  # of 8, the four that it uses
    assert one["gpus_now"][0]["power_w"] == 140.5
    human = node.dsv4("status", name).stdout
    assert "of 1000 W" in human
    assert "unwatched" in human

    changed = config.with_name("changed.yaml")
    changed.write_text(config.read_text().replace("max_model_len: auto", "max_model_len: 4096"))
    drift = node.dsv4("status", changed).stdout
    assert "drift" in drift
    assert "max_model_len auto, not 4096" in drift


def test_waits_for_the_fabric(node: Node, tmp_path: Path) -> None:
    config = node.config()
    done = node.dsv4("doctor", config, "--wait", "fabric")
    assert done.returncode == 0, done.stderr
    assert "are ready" in done.stdout
    topology = tmp_path / "topology.txt"
    good = topology_file("b200x8").read_text()
    topology.write_text(good + "fabric 2\n")  # the last GPU; four are used, but the launch may take any
    late = {"NVML_SHIM_FILE": str(topology)}
    assert node.dsv4("doctor", config, "--set", "gpus=[0,1,2,3]", "--wait", "fabric", env=late).returncode == 0
    done = node.dsv4("doctor", config, "--wait", "fabric", "--timeout", "0", env=late)
    assert done.returncode == 5
    assert "the fabric of GPU 7 is in progress" in done.stderr
    waiting = node.start("doctor", config, "--wait", "fabric", "--output", "json", env=late)
    assert waiting.stderr
    assert "Waiting for the GPUs" in waiting.stderr.readline()
    topology.write_text(good)
    out, _ = waiting.communicate(timeout=150)
    assert waiting.returncode == 0
    assert json.loads(out)["data"]["ready"] == "fabric"
