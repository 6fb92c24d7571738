"""The ``VLLM_…`` variables of a config, against those that its release reads."""

from __future__ import annotations

from dsv4_launch.catalog.flags import FlagTable, flag_table, versions
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.errors import Problem
from dsv4_launch.plan.lookup import Known, Where
from dsv4_launch.plan.types import Notice
from dsv4_launch.values import nearest

_PREFIX = "VLLM_"
# vLLM's own answer to a variable that it does not know: a warning in its log, or, with this argument, a refusal
# (vllm 0.20.0 envs.py:1812).
_FAILS = "fail_on_environ_validation"


def unread(config: LaunchConfig, known: Known, table: FlagTable, where: Where) -> tuple[list[Problem], list[Notice]]:
    """A problem for every variable that the release does not read.

    A warning instead where a plugin or another build may read it: the release is not exactly known, or the config sets
    ``engine.fail_on_environ_validation: false``.
    """
    doubtful = not known.exact or (config.engine.model_extra or {}).get(_FAILS) is False
    problems, notices = [], []
    for name in config.env:
        if not name.startswith(_PREFIX) or name in table.env:
            continue
        problem = _problem(name, table, where(("env", name)))
        if doubtful:
            notices.append(Notice("warning", problem.message.rstrip("."), problem.fix.rstrip("."), problem.where))
        else:
            problems.append(problem)
    return problems, notices


def readers(name: str) -> str:
    """Which releases read a variable, such as "0.20.0 to 0.22.1 do"; empty when none does."""
    others = [version for version in versions() if name in flag_table(version).env]
    return "" if not others else f"{others[0]} does" if len(others) == 1 else f"{others[0]} to {others[-1]} do"


def _problem(name: str, table: FlagTable, where: str) -> Problem:
    span = readers(name)
    if span:
        return Problem(
            "variable-not-in-release",
            f"vLLM {table.version} reads no variable {name}; {span}.",
            where,
            "Leave it out, or choose a release that reads it.",
        )
    meant = nearest(name, table.env, _PREFIX)
    return Problem(
        "variable-unknown",
        f"vLLM reads no variable {name}.",
        where,
        f"Did you mean {meant}?"
        if meant
        else "Leave it out; if a plugin reads it, set engine.fail_on_environ_validation: false.",
    )
