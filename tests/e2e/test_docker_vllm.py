"""The whole way on real vLLM in a real container: serve, a completion through the OpenAI client, caches, stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.native_box import real_home

from e2e.conftest import ROOT, Node, free_port

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
CONFIG = ROOT / "configs/rehearsal-cpu.yaml"


@pytest.mark.vllm
@pytest.mark.timeout(500)
def test_rehearsal_config_from_serve_to_stop(node: Node) -> None:
    from openai import OpenAI

    node.env["DSV4_REHEARSAL_HOME"] = str(real_home())
    node.env["PATH"] = f"{node.env['PATH']}:/usr/bin"
    name, port = f"vllm-{free_port()}", free_port()
    node.names.append(name)
    memory = set(Path("/dev/shm").iterdir())
    words = ("serve", CONFIG, "--set", f"name={name}", "--set", f"server.port={port}")

    served = node.dsv4(*words, timeout_s=400)

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
    caches = node.folder / ".cache/dsv4/caches/dsv4-rehearsal-cpu-0.32.0-cpu"
    assert [path for path in (caches / "vllm").rglob("*") if path.is_file()]

    stopped = node.dsv4("stop", name)

    assert stopped.returncode == 0, stopped.stderr
    assert node.state(name) == ""
    assert set(Path("/dev/shm").iterdir()) <= memory
