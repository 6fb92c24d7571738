"""What `vllm serve` refuses beyond single values, as data: combinations, and names that a release looks up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.version import within
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ServeCheck:
    """One refusal; ``at_parser`` when vLLM stops while it parses. The conditions are told in the data file."""

    code: str
    name: str
    given: Mapping[str, Any]
    must: Mapping[str, Any]
    why: str
    fix: str
    source: str
    at_parser: bool


@lru_cache
def serve_checks(version: str) -> tuple[ServeCheck, ...]:
    """The checks of one release, in order."""
    return tuple(
        ServeCheck(
            row["code"],
            row["name"],
            row.get("given", {}),
            row["must"],
            row["why"],
            row.get("fix", ""),
            row["source"],
            row.get("at") == "parser",
        )
        for row in table("serve_checks")["check"]
        if "when" not in row or within(version, row["when"])
    )


@lru_cache
def model_checks() -> frozenset[str]:
    """The codes of those that hold of DeepSeek-V4 alone."""
    return frozenset(row["code"] for row in table("serve_checks")["check"] if row.get("of_the_model"))


@lru_cache
def built_if() -> Mapping[str, str]:
    """Config classes that vLLM builds only when an option is on: class to the option's destination."""
    return dict(table("serve_checks")["built_if"])


@lru_cache
def registered(kind: str, version: str) -> frozenset[str]:
    """The names that a release registers: ``tool_call_parser`` or ``reasoning_parser``."""
    return frozenset(n for n, span in table("parser_names")[kind].items() if not span or within(version, span))
