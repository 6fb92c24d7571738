"""The environment of a launch as a config's: plain values, secrets by name; what a launch of ours sets is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsv4_launch.catalog.caches import caches
from dsv4_launch.convert.imports.imported import Draft
from dsv4_launch.convert.read.launch import Launch, Variable
from dsv4_launch.convert.read.words import Span
from dsv4_launch.plan.binds import CACHES_INSIDE
from dsv4_launch.plan.secrets import looks_like_a_secret
from dsv4_launch.values import SHELL_FORMS

_TIMEOUT = "VLLM_ENGINE_READY_TIMEOUT_S"


def import_environment(launch: Launch, draft: Draft) -> None:
    """Variables in their order; those that a launch of ours sets anyway are left out, secrets go by name."""
    plain: list[Variable] = []
    passed: list[tuple[str, Span]] = []
    for variable in _last(launch.variables):
        name, value = variable.name, variable.value
        if name == "VLLM_API_KEY":
            _key(variable, draft)
        elif value is None:
            passed.append((name, variable.span))
        elif looks_like_a_secret(name, value):
            passed.append((name, variable.span))
            if value not in (f"${name}", f"${{{name}}}"):
                draft.say(
                    "lost", f"the value of {name}: a config holds no secret. Export it where you launch", variable.span
                )
        elif name == "CUDA_VISIBLE_DEVICES" and not launch.contained and re.fullmatch(r"\d+(,\d+)*", value):
            draft.put("", "gpus", [int(n) for n in value.split(",")], variable.span)
        elif name == "CUDA_VISIBLE_DEVICES" and not launch.contained and value == SHELL_FORMS["cuda_devices"]:
            draft.put("", "gpus", "auto", variable.span)
        elif name == "PATH" and not launch.contained and value == f"{launch.program.rpartition('/')[0]}:$PATH":
            continue  # a launch puts the program's own folder there by itself
        elif variable.opaque and "$" in value:
            draft.say("lost", f"{name}={value}: only the shell that runs it knows the value", variable.span)
        else:
            plain.append(variable)
    generated = _generated(draft, contained=launch.contained)
    while plain and generated.get(plain[-1].name) in ("", plain[-1].value):
        variable = plain.pop()
        _timeout(variable, draft)
    for variable in plain:
        _timeout(variable, draft)
        draft.put("env", variable.name, variable.value, variable.span)
    if passed:
        draft.put("secrets", "pass_through", [name for name, _ in passed], passed[0][1])


def _last(variables: Sequence[Variable]) -> list[Variable]:
    """Of a variable that is set twice the last one counts."""
    found: dict[str, Variable] = {}
    for variable in variables:
        found.pop(variable.name, None)
        found[variable.name] = variable
    return list(found.values())


def _generated(draft: Draft, *, contained: bool) -> dict[str, str]:
    """Variables that our own rendering sets ("": whatever the value)."""
    found = {_TIMEOUT: ""}
    if contained and draft.get("container", "caches"):
        found |= {cache.variable: f"{CACHES_INSIDE}/{cache.directory}" for cache in caches()}
    if not contained and draft.get("", "gpus"):
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return found


def _timeout(variable: Variable, draft: Draft) -> None:
    value = variable.value or ""
    if variable.name == _TIMEOUT and value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 86400:
        draft.put("start", "timeout_s", int(value), variable.span)


def _key(variable: Variable, draft: Draft) -> None:
    source = re.fullmatch(r"\$\{?([A-Za-z_]\w*)(?::\?[^}]*)?\}?", variable.value or "")
    draft.put("server", "api_key_env", source.group(1) if source else "VLLM_API_KEY", variable.span)
    if variable.value is not None and not source:
        draft.say(
            "lost", "the value of VLLM_API_KEY: a config holds no secret. Export it where you launch", variable.span
        )
