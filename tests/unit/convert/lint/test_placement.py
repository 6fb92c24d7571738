"""GPUs that are too few for the ranks are an error; where some ranks may run elsewhere, nothing is said."""

from __future__ import annotations

import pytest

from dsv4_launch.convert.lint.judge import lint

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
DOCKER = f"docker run {{}} vllm/vllm-openai:v0.33.0 {MODEL} {{}}"
POD = f"""kind: Pod
metadata: {{name: v4}}
spec:
  containers:
    - image: vllm/vllm-openai:v0.33.0
      args: [{MODEL}, --tensor-parallel-size, "8"]
      resources: {{limits: {{nvidia.com/gpu: "4"}}}}
"""


def faults(text: str, gpu: str | None = None) -> list[str]:
    (verdict,) = lint(text, None, gpu)
    return [finding.why for finding in verdict.errors if finding.code in ("layout", "gpus-for-the-world")]


@pytest.mark.parametrize(
    "text",
    [
        DOCKER.format("--gpus '\"device=0,1,2,3\"'", "--tensor-parallel-size 8"),
        DOCKER.format("--gpus 2", "--data-parallel-size 4"),
        DOCKER.format("--gpus all -e CUDA_VISIBLE_DEVICES=0,1", "-tp 4"),
        DOCKER.format("--gpus 4", "-tp 4 -pp 2"),
        f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {MODEL} -tp 4",
        "CUDA_VISIBLE_DEVICES=0,1 vllm serve other/model -tp 4",
        POD,
    ],
)
def test_fewer_gpus_than_ranks_are_an_error(text: str):
    for gpu in (None, "b200"):
        (said,) = faults(text, gpu)
        assert "GPUs; the server is shown" in said


@pytest.mark.parametrize(
    "text",
    [
        DOCKER.format("--gpus '\"device=0,1,2,3\"'", "--tensor-parallel-size 4"),
        DOCKER.format("--gpus all", "-tp 8"),
        DOCKER.format("--gpus 4", "-tp 4 -dp 4 --data-parallel-size-local 1"),
        DOCKER.format("--gpus 4", "-tp 4 -dp 4 --data-parallel-rank 0"),
        DOCKER.format("--gpus 4", "-tp 8 --nnodes 2 --node-rank 0 --master-addr 10.0.0.1"),
        DOCKER.format("--gpus 4", "-tp 8 --distributed-executor-backend ray"),
        DOCKER.format("--gpus 4", '-tp 8 "${MORE[@]}"'),
        f"CUDA_VISIBLE_DEVICES=$FREE vllm serve {MODEL} -tp 4",
    ],
)
def test_what_fits_or_runs_elsewhere_too_is_none(text: str):
    assert faults(text) == []


def test_more_ranks_than_a_node_has_are_an_error_where_the_gpu_is_named():
    assert faults(f"vllm serve {MODEL} -tp 8 -dp 2", "b200") == ["the layout needs 16 GPUs; a node has 8 NVIDIA B200"]
    assert faults(f"vllm serve {MODEL} -tp 8 -dp 2") == []
