"""What is refused beside flags and constraints: secrets in a config, and layouts that no node has."""

from __future__ import annotations

from collections.abc import Callable

from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.errors import Problem
from dsv4_launch.plan.binds import looks_like_a_secret
from dsv4_launch.plan.lookup import Known
from dsv4_launch.plan.parts import gpu_count
from dsv4_launch.plan.settings import Settings

Where = Callable[[tuple[str | int, ...]], str]


def secrets(config: LaunchConfig, where: Where) -> list[Problem]:
    fix = "Export it under a variable's name, and write that name."
    problems = [
        Problem(
            "secret-in-config",
            f"{'.'.join(path)} holds what looks like a secret, not the name of a variable.",
            where(path),
            fix,
        )
        for path, name in (
            (("secrets", "hf_token"), config.secrets.hf_token),
            (("server", "api_key_env"), config.server.api_key_env or ""),
            *((("secrets", "pass_through"), name) for name in config.secrets.pass_through),
        )
        if looks_like_a_secret("", name)
    ]
    problems += [
        Problem(
            "secret-in-config",
            f"env.{name} would put a secret into a config.",
            where(("env", name)),
            f"Export {name} and write secrets: {{pass_through: [{name}]}}.",
        )
        for name, value in config.env.items()
        if looks_like_a_secret(name, value)
    ]
    return problems


def layout(config: LaunchConfig, known: Known, settled: Settings, where: Where) -> list[Problem]:
    if known.gpu.arch == "cpu":
        return []
    count = gpu_count(settled)
    if isinstance(config.gpus, tuple):
        if len(set(config.gpus)) != len(config.gpus):
            return [Problem("gpus", "gpus names a GPU twice.", where(("gpus",)))]
        if len(config.gpus) < count:
            return [
                Problem(
                    "layout",
                    f"gpus lists {len(config.gpus)} GPUs; the parallel layout needs {count}.",
                    where(("gpus",)),
                    "List more GPUs, or lower parallel.tensor, parallel.data or parallel.pipeline.",
                )
            ]
    if known.gpu.gpus_per_node and count > known.gpu.gpus_per_node:
        return [
            Problem(
                "layout",
                f"The parallel layout needs {count} GPUs; a node has {known.gpu.gpus_per_node} {known.gpu.title}.",
                where(("parallel",)),
                "Lower parallel.tensor, parallel.data or parallel.pipeline.",
            )
        ]
    return []
