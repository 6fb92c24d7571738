"""The environment variables that hold secrets of a deployment: what a helper process has no need of."""

from __future__ import annotations

from typing import Final

from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.plan.binds import KEY_VARIABLE

# What the Hub's client reads a token from without being told
# (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables), and vLLM its key.
CONVENTIONAL: Final = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", KEY_VARIABLE})


def secret_names(config: LaunchConfig | None) -> frozenset[str]:
    """Names of the variables that hold secrets by convention, and those that the config names as such."""
    if config is None:
        return CONVENTIONAL
    named = {
        config.server.api_key_env,
        config.secrets.hf_token,
        *config.secrets.pass_through,
        config.watch.on_failure.webhook_env,
    }
    return CONVENTIONAL | {name for name in named if name}
