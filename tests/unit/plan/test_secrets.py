"""Which variables of a shell a native server does not inherit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.plans import PLANS
from dsv4_launch.plan.secrets import withheld
from dsv4_launch.plan.types import Variable

PLAN = PLANS["native"]


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "OPENAI_API_KEY", "DB_PASSWORD", "TOKEN",
        "MY_SECRET", "npm_config_auth",
    ],
)  # fmt: skip
def test_what_is_named_as_a_secret_is_withheld_unless_the_config_names_it(name: str) -> None:
    assert withheld(["PATH", name], PLAN) == [name]
    assert withheld([name], None) == [name]
    passed = Variable(name, None, "", "", env_from=name)
    assert withheld([name], replace(PLAN, environment=(*PLAN.environment, passed))) == []
    key = Variable("VLLM_API_KEY", None, "", "", env_from=name)
    assert withheld([name], replace(PLAN, environment=(*PLAN.environment, key))) == []


@pytest.mark.parametrize("plan", [PLAN, None])
def test_what_a_server_may_need_is_inherited(plan: object) -> None:
    needed = ["PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_HOME", "HTTPS_PROXY", "SSH_AUTH_SOCK", "VLLM_CPU_KVCACHE_SPACE"]
    needed += ["NCCL_DEBUG", "TOKENIZERS_PARALLELISM", "PASSENGER_HOME", "HF_HOME"]
    # The Hub's token, and the key without which a server would be open.
    needed += ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY"]
    assert withheld(needed, plan) == []  # type: ignore[arg-type]
