"""Which environment variables hold secrets: by the config that names them, by convention, or by the look of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsv4_launch.config.model import LaunchConfig
    from dsv4_launch.plan.types import Plan

# The variable that vLLM reads its key from (vllm 0.20.0 envs.py, VLLM_API_KEY).
KEY_VARIABLE = "VLLM_API_KEY"
# What the Hub's client reads a token from without being told
# (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables), and vLLM its key.
CONVENTIONAL: Final = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", KEY_VARIABLE})

_SECRET_NAME = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASS|APIKEY|API_KEY|ACCESS_KEY|AUTH|CREDENTIALS?)$")
# Well-known prefixes, a bearer header, and a URL that holds user and password.
_SECRET_VALUE = re.compile(
    r"^((hf_|sk-|ghp_|github_pat_|nvapi-)[A-Za-z0-9_-]{16,}|Bearer[ -].+|[a-z][a-z0-9+.-]*://[^/@\s]+:[^/@\s]+@.*)$"
)


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


def withheld(variables: Iterable[str], plan: Plan | None) -> list[str]:
    """What a native server does not inherit of a shell: what is named as a secret is, unless its config names it.

    The Hub's token and vLLM's key go on, by the names that both read: a server that missed its key would be open.
    """
    named = CONVENTIONAL | {variable.env_from for variable in plan.environment} if plan else CONVENTIONAL
    return sorted(name for name in variables if _SECRET_NAME.search(name.upper()) and name not in named)


def looks_like_a_secret(name: str, value: str) -> bool:
    """True when a variable's name, or a value by its well-known prefix, is that of a secret."""
    return bool((name and value and _SECRET_NAME.search(name.upper())) or _SECRET_VALUE.match(value))
