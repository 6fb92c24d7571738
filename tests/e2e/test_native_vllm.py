"""The whole way on real vLLM, natively: serve, a completion through the OpenAI client, status, logs, stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.native_box import boxes, real_home

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
# What vLLM 0.32.0 says of its start on the CPU, from the command line to the first token.
STAGES = "launch launched arguments engine weights loaded warm-up api listening up first-token"
CONFIG = Path(__file__).parents[2] / "configs/rehearsal-cpu.yaml"


@pytest.mark.vllm
@pytest.mark.timeout(1200)
def test_rehearsal_config_from_serve_to_stop(tmp_path: Path) -> None:
    from openai import OpenAI

    for box in boxes(tmp_path, real_home()):
        box.name = "rehearsal-cpu"
        words = ("serve", str(CONFIG), "--target", "native", "--output", "json", "--set", f"server.port={box.port}")
        serving = box.start(*words)
        assert serving.stdout is not None
        launched = json.loads(serving.stdout.readline())  # it goes on as the server's watcher
        assert launched["status"] == "ok", launched["errors"]
        stages = launched["data"]["stages"]
        assert [stage["key"] for stage in stages] == STAGES.split()
        assert all(stage["seconds"] > 0 for stage in stages), stages
        assert launched["data"]["seconds"] > 1
        with OpenAI(base_url=f"http://127.0.0.1:{box.port}/v1", api_key="none") as client:
            assert [model.id for model in client.models.list()] == [MODEL]
            messages = [{"role": "user", "content": "Hello"}]
            answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=16)  # type: ignore
            assert answer.usage is not None
            assert answer.usage.completion_tokens >= 1
            stream = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=16, stream=True)  # type: ignore
            assert [chunk for chunk in stream if chunk.choices and chunk.choices[0].finish_reason]
        assert box.dsv4("status", box.name, "--check").returncode == 0
        logged = box.dsv4("logs", box.name).stdout
        assert "Application startup complete" in logged
        assert "POST /v1/chat/completions" in logged
        assert "gpu: cpu" in box.dsv4("show", box.name).stdout
        stopped = box.dsv4("stop", box.name)
        assert stopped.returncode == 0, stopped.stderr
        out, err = serving.communicate(timeout=150)
        assert serving.returncode == 0, out + err
        box.assert_gone()
