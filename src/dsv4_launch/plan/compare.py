"""Two plans compared, flag by flag, and what the difference means for clients: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsv4_launch.catalog.client_effects import effects as known_effects
from dsv4_launch.catalog.flags import nearest_version, versions
from dsv4_launch.catalog.migrations import Behaviour, behaviours
from dsv4_launch.catalog.rules import applies
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.argv.numbers import integer
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Word, shell_word


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs. ``running`` and ``config`` are texts; None on the side that does not have it.

    ``part`` is name, target, vllm, model, gpus, endpoint, container, native, mount, env, argument, or dsv4 (its own
    version).
    """

    part: str
    name: str
    running: str | None
    config: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What clients notice, by which difference (``subject``), and where that was read."""

    subject: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between what runs and what a config says; ``effects``: what clients notice of it."""

    differences: tuple[Difference, ...]
    effects: tuple[Effect, ...]


def compare(running: Plan, wanted: Plan, *, names: bool = True) -> Comparison:
    """What differs when ``wanted`` takes the place of ``running``. ``names``: deployments of two names differ."""
    before, after = dict(_values(running)), dict(_values(wanted))
    keys = [*before, *(key for key in after if key not in before)]
    differences = tuple(
        Difference(*key, before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key) and (names or key[0] != "name")
    )
    effects = (*_told(differences), *_crossed(running, wanted))
    once = {(effect.text, effect.source): effect for effect in reversed(effects)}  # two values may mean the same
    return Comparison(differences, tuple(reversed(once.values())))


def in_short(differences: Sequence[Difference], most: int = 3) -> str:
    """The differences in one clause: ``vllm 0.20.0, not 0.21.0; port 8000, not 8001; and 2 more``."""
    texts = [f"{label(d)} {shown(d.running)}, not {shown(d.config)}" for d in differences[:most]]
    more = len(differences) - most
    return "; ".join([*texts, f"and {more} more"] if more > 0 else texts)


def label(difference: Difference) -> str:
    """What differs, in words: ``vllm``, ``endpoint port``, ``argument max_model_len``."""
    part, name = difference.part, difference.name
    return part if part == name else f"{part} {name}"


def shown(value: str | None, most: int = 80) -> str:
    """A value for a line of text."""
    if value is None:
        return "(not set)"
    return value if len(value) <= most else f"{value[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _values(plan: Plan) -> Iterator[tuple[tuple[str, str], str]]:
    """Everything that a launch of the plan decides, as texts by part and name; what it leaves open is left out."""
    container, native = plan.container, plan.native
    yield ("name", "name"), plan.name
    yield ("target", "target"), plan.target
    yield ("vllm", "vllm"), plan.vllm
    yield from _told_values("model", {"served": plan.model.served, "revision": plan.model.revision})
    gpus = "all" if plan.gpus.visible == "all" else ",".join(map(str, plan.gpus.visible))
    yield from _told_values("gpus", {"type": plan.gpus.key, "count": plan.gpus.count, "visible": gpus})
    endpoint = {"host": plan.host, "port": plan.port, "served_model_name": ",".join(plan.served_model_names)}
    yield from _told_values("endpoint", {**endpoint, "api_key_env": plan.api_key_env})
    if plan.target == "docker":
        options: dict[str, Any] = {"image": container.image, "runtime": container.runtime, "ipc": container.ipc}
        options |= {
            "shm_size": container.shm_size,
            "restart": _unless_no(container.restart),
            "network": container.network,
        }
        options |= {f"ulimit {name}": limit for name, limit in container.ulimits.items()}
        options |= {"log_max_size": container.log_max_size, "log_files": container.log_files or None}
        options |= {"stop_timeout_s": plan.stop_timeout_s}
        yield from _told_values("container", {**options, "options": " ".join(container.options)})
        for bind in container.binds:
            yield ("mount", bind.target), f"{_text(bind.source)}{' (read-only)' if bind.read_only else ''}"
    else:
        yield from _told_values("native", {"executable": native.executable, "restart": _unless_no(native.restart)})
    for variable in plan.environment:
        value = f"(from {variable.env_from})" if variable.value is None else _text(variable.value)
        yield ("env", variable.name), value
    for argument in plan.arguments:
        if argument.name != "served_model_name":  # the endpoint has it
            yield from _flat(argument.name.replace("-", "_"), argument.value)


def _unless_no(restart: str) -> str:
    return "" if restart == "no" else restart


def _told_values(part: str, values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for name, value in values.items():
        if value not in ("", None):
            yield (part, name), _text(value)


def _flat(name: str, value: Any) -> Iterator[tuple[tuple[str, str], str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    else:
        yield ("argument", name), _text(value)


def _text(value: Word | Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(_text, value))
    if isinstance(value, str | int | float):
        return str(value)
    return "{}" if isinstance(value, Mapping) else shell_word(value).strip('"')


def _told(differences: Sequence[Difference]) -> Iterator[Effect]:
    for difference in differences:
        key = f"{difference.part}.{difference.name}"
        for effect in known_effects():
            if any(key == name or key.startswith(f"{name}.") for name in effect.about) and _is(effect.how, difference):
                text = effect.text.replace("{old}", shown(difference.running)).replace(
                    "{new}", shown(difference.config)
                )
                yield Effect(label(difference), text, effect.source)
                break


def _is(how: str, difference: Difference) -> bool:
    old, new = difference.running, difference.config
    match how:
        case "added":
            return old is None
        case "gone":
            return new is None
        case "smaller" | "larger":
            numbers = integer(old), integer(new)
            if numbers[0] is None or numbers[1] is None:
                return False
            return numbers[1] < numbers[0] if how == "smaller" else numbers[1] > numbers[0]
    return True


def _crossed(running: Plan, wanted: Plan) -> Iterator[Effect]:
    """What the releases between the two do differently with a config that they take unchanged."""
    order = versions()
    first, last = (order.index(nearest_version(plan.vllm)[0]) for plan in (running, wanted))
    crossed = order[first + 1 : last + 1] or order[last + 1 : first + 1]
    for change in behaviours():
        if change.since in crossed and _matters(change, wanted):
            yield Effect(f"vllm {change.since}", change.up if last > first else change.down, change.source)


def _matters(change: Behaviour, plan: Plan) -> bool:
    engine = plan.config.get("engine") or {}
    facts = {
        "arch": plan.gpus.arch,
        "gpu": plan.gpus.key,
        "target": plan.target,
        "indexer_cache_dtype": str(engine.get("indexer_cache_dtype") or ""),
    }
    said = {f"{'engine' if part == 'argument' else part}.{name}" for (part, name), _ in _values(plan)}

    def has(path: str) -> bool:
        return any(name == path or name.startswith(f"{path}.") for name in said)

    return (
        applies(change.when, facts)
        and (not change.only or any(map(has, change.only)))
        and not any(map(has, change.unless))
    )
