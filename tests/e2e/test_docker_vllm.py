"""The whole way on real vLLM in a container that may do little: serve, complete, cache, bench, a stop that drains."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest

from dsv4_launch.run.bench import store
from e2e import memory
from e2e.conftest import ROOT, Node, until
from e2e.native_box import real_home
from e2e.ports import free_port
from e2e.streaming import ENGINE_TOLD, Clients, engines, paused

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
CONFIG = ROOT / "configs/rehearsal-cpu.yaml"
# Of Linux's capabilities number 1 alone: the server may use folders of the user that launched it.
DAC_OVERRIDE = 1 << 1
KEY = "canary-5d0c93be17f4"
SMALL = ("--concurrency", "1,2", "--requests-per-concurrency", "2", "--input-len", "8", "--output-len", "4",
         "--warmup", "0", "--rest", "0")  # fmt: skip


def measure(node: Node, name: str) -> None:
    """Two small points by vLLM's own client, in a container of the image that serves."""
    folder, report = node.folder / "run", node.folder / "report"
    bench = node.start("bench", "run", name, "--dir", folder, *SMALL)
    loads = f"dsv4-bench-{bench.pid}-"
    told: dict[str, str] = {}
    try:
        for key in ("c0001-r1", "c0002-r1"):
            until(lambda load=loads + key: node.state(load) == "running" or bench.poll() is not None, f"load {key}")
            told[key] = node.docker("inspect", loads + key, check=False)
            told[key] += command_lines()
    finally:
        out, err = bench.communicate(timeout=300)
    assert bench.returncode == 0, err
    until(lambda: not node.docker("ps", "--all", "--quiet", "--filter", f"name={loads}"), "its containers are gone")

    found = store.load(folder)
    assert found.run.state == "complete"
    assert [(one.planned.concurrency, one.side and one.side.status) for one in found.measured] == [(1, "ok"), (2, "ok")]
    assert [(point.completed, point.failed) for point in found.points] == [(2, 0), (4, 0)]
    image = node.docker("inspect", "-f", "{{.Config.Image}}", name)
    print_ = found.run.fingerprint
    assert (print_.image, print_.client) == (image, f"image {image}")
    assert print_.image_digest == node.docker("image", "inspect", "-f", "{{.Id}}", image)
    assert (print_.vllm, print_.client_vllm) == ("0.32.0", "0.32.0+cpu")
    assert f"vllm bench serve 0.32.0+cpu (image {image})" in (folder / "report/report.html").read_text()
    for key, concurrency in (("c0001-r1", 1), ("c0002-r1", 2)):
        # Byte for byte as vLLM writes it, and nothing of ours in it.
        text = (folder / "points" / f"{key}.json").read_text()
        assert text == json.dumps(json.loads(text))
        assert json.loads(text)["max_concurrency"] == concurrency
        assert "dsv4" not in text

    drawn = node.dsv4("bench", "report", folder, "--out", report, "--format", "md,csv")
    assert drawn.returncode == 0, drawn.stderr
    files = [path for where in (folder, report, node.folder / "state") for path in where.rglob("*") if path.is_file()]
    assert {path.suffix for path in files if report in path.parents} == {".md", ".csv"}
    assert all('"Cmd"' in text and "bench" in text for text in told.values())
    assert not [text for text in (*told.values(), out, err, drawn.stdout, drawn.stderr) if KEY in text]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def command_lines() -> str:
    """Those of every process of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text(errors="replace"))
    return "\n".join(found)


@pytest.mark.vllm
@pytest.mark.timeout(1200)
def test_a_hardened_rehearsal_with_a_key_from_serve_over_bench_to_a_stop_that_drains(node: Node) -> None:
    from openai import OpenAI

    node.env["DSV4_REHEARSAL_HOME"] = str(real_home())
    node.env["PATH"] = f"{node.env['PATH']}:/usr/bin"
    name, port = f"vllm-{free_port()}", free_port()
    node.names.append(name)
    node.env["BENCH_KEY"] = KEY
    kept = node.folder / "kept"
    kept.mkdir()
    (kept / "note").write_text("below a place in memory")
    before = memory.segments()
    sets = {
        "name": name,
        "server.port": port,
        "server.api_key_env": "BENCH_KEY",
        "container.hardened": "true",
        "engine.shutdown_timeout": 240,  # a slow machine has its time
        "container.mounts": json.dumps([{"source": str(kept), "target": "/root/.cache/kept", "read_only": True}]),
    }
    others = engines()
    served = node.dsv4("serve", CONFIG, *(w for pair in sets.items() for w in ("--set", "=".join(map(str, pair)))),
                       timeout_s=900)  # fmt: skip

    assert served.returncode == 0, served.stderr
    assert f"http://127.0.0.1:{port}/v1" in served.stdout
    with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        messages = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=16)  # type: ignore
        assert answer.usage is not None
        assert answer.usage.completion_tokens >= 1
    assert node.dsv4("status", name, "--check").returncode == 0
    assert "Application startup complete" in node.dsv4("logs", name).stdout
    # The server writes its cache where VLLM_CACHE_ROOT points: into the mount, so that the next start finds it.
    (cache,) = (node.folder / ".cache/dsv4/caches").glob("dsv4-rehearsal-cpu-0.32.0-*-cpu")
    assert [path for path in (cache / "vllm").rglob("*") if path.is_file()]

    may = dict(re.findall(r"(NoNewPrivs|Cap\w+):\s+(\w+)", node.docker("exec", name, "cat", "/proc/1/status")))
    assert may["NoNewPrivs"] == "1"
    assert {int(may[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {DAC_OVERRIDE}
    tried = "touch /usr/owned; touch /root/owned; touch /tmp/fine && cat /root/.cache/kept/note"
    assert node.docker("exec", name, "sh", "-c", f"({tried}) 2>&1").splitlines() == [
        "touch: cannot touch '/usr/owned': Read-only file system",
        "touch: cannot touch '/root/owned': Read-only file system",
        "below a place in memory",
    ]

    measure(node, name)

    clients = Clients(port, MODEL, KEY)
    clients.flow()
    (engine,) = engines() - others
    with paused(engine):
        stopping = node.start("stop", name)
        until(lambda: ENGINE_TOLD in node.docker("logs", name), "the engine is told to end")
    _, err = stopping.communicate(timeout=300)

    assert stopping.returncode == 0, err
    clients.assert_none_was_cut_off()
    assert re.search(r"draining in-flight requests count=[12]\b", node.dsv4("logs", name, "--last").stdout)
    assert node.state(name) == ""
    memory.wait_for_none_since(before)
