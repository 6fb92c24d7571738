"""The whole way on real vLLM in a real container that may do little: serve, completions, caches, a stop that drains."""

from __future__ import annotations

import json
import re

import pytest
from tests.e2e.native_box import real_home
from tests.e2e.streaming import ENGINE_TOLD, Clients, engines, paused

from e2e import memory
from e2e.conftest import ROOT, Node, until
from e2e.ports import free_port

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
CONFIG = ROOT / "configs/rehearsal-cpu.yaml"
# Of Linux's capabilities number 1 alone: the server may use folders of the user that launched it.
DAC_OVERRIDE = 1 << 1


@pytest.mark.vllm
@pytest.mark.timeout(500)
def test_a_hardened_rehearsal_from_serve_to_a_stop_that_drains(node: Node) -> None:
    from openai import OpenAI

    node.env["DSV4_REHEARSAL_HOME"] = str(real_home())
    node.env["PATH"] = f"{node.env['PATH']}:/usr/bin"
    name, port = f"vllm-{free_port()}", free_port()
    node.names.append(name)
    kept = node.folder / "kept"
    kept.mkdir()
    (kept / "note").write_text("below a place in memory")
    before = memory.segments()
    sets = {
        "name": name,
        "server.port": port,
        "container.hardened": "true",
        "engine.shutdown_timeout": 240,  # a slow machine has its time
        "container.mounts": json.dumps([{"source": str(kept), "target": "/root/.cache/kept", "read_only": True}]),
    }
    others = engines()
    served = node.dsv4("serve", CONFIG, *(w for pair in sets.items() for w in ("--set", "=".join(map(str, pair)))),
                       timeout_s=400)  # fmt: skip

    assert served.returncode == 0, served.stderr
    assert f"http://127.0.0.1:{port}/v1" in served.stdout
    with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
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

    clients = Clients(port, MODEL)
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
