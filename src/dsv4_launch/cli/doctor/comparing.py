"""`dsv4 facts diff`: how two hosts differ in what matters to a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dsv4_launch.cli import options, show
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.errors import Problem
from dsv4_launch.values import canonical_json

if TYPE_CHECKING:
    from dsv4_launch.facts import HostFacts

# Who took them and when; what identifies a machine and not what it can do.
_IDLE = {
    "schema_version",
    "origin",
    "taken_at",
    "note",
    "unread",
    "problems",
    "uuid",
    "id",
    "pci_bus_id",
    "pid",
    "text",
}
# Amounts that move by themselves: told only when they differ by a quarter.
_AMOUNTS = {
    "memory_free_mib",
    "free_bytes",
    "used_mib",
    "memory_available_bytes",
    "memory_total_bytes",
    "shm_free_bytes",
    "shm_total_bytes",
    "total_bytes",
    "skew_s",
    "size_bytes",
}
_CLOSE = 0.8
_LONGEST = 200


def compare(first: str, second: str, config: str | None, output: options.Output, *, check: bool) -> int:
    """Print the differences of two facts files; returns the exit code. Raises InputError for what is no facts file."""
    one, other = read_facts(first), read_facts(second)
    found = differences(one, other)
    verdicts = _verdicts(one, other, config) if config else {}
    exit_code = 10 if check and (found or verdicts) else 0
    if output is options.Output.json:
        rows = [{"path": path, "a": a, "b": b} for path, (a, b) in found.items()]
        judged = [{"code": code, "a": a, "b": b} for code, (a, b) in verdicts.items()]
        gate = [Problem("differ", f"{first} and {second} differ.", second)] if exit_code else []
        show.envelope("facts", exit_code, {"differences": rows, "checks": judged}, gate)
        return exit_code
    for path, (a, b) in found.items():
        show.say(f"{path}: {_text(path, a)} -> {_text(path, b)}")
    for code, (a, b) in verdicts.items():
        show.say(f"check {code}: {a} -> {b}")
    if not found and not verdicts:
        show.say("They differ in nothing that matters.")
    return exit_code


def differences(one: HostFacts, other: HostFacts) -> dict[str, tuple[Any, Any]]:
    """Dotted path to both values, where they differ. What all GPUs of each host have in common stands once."""
    hosts = [facts.model_dump(mode="json") for facts in (one, other)]
    rows = [[_gpu(gpu) for gpu in host.pop("gpus") or ()] for host in hosts]
    flat = [{"gpus": None if facts.gpus is None else len(facts.gpus)} for facts in (one, other)]
    for key in dict.fromkeys(key for row in rows for gpu in row for key in gpu):
        if all(_same(key, gpu.get(key), row[0].get(key)) for row in rows for gpu in row):
            found = [{f"gpus.*.{key}": row[0].get(key)} if row else {} for row in rows]
        else:
            found = [{f"gpus.{index}.{key}": gpu.get(key) for index, gpu in enumerate(row)} for row in rows]
        flat = [{**before, **more} for before, more in zip(flat, found, strict=True)]
    a, b = ({**gpus, **dict(_walk(host))} for gpus, host in zip(flat, hosts, strict=True))
    paths = list(dict.fromkeys((*a, *b)))
    return {path: (a.get(path), b.get(path)) for path in paths if not _same(path, a.get(path), b.get(path))}


def _gpu(gpu: Mapping[str, Any]) -> dict[str, Any]:
    """One GPU's fields; of its peers, in which ways they are reached."""
    fields = {key: value for key, value in gpu.items() if key not in ("index", "peers")}
    return {**dict(_walk(fields)), "peers": sorted(set((gpu.get("peers") or {}).values()))}


def _walk(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        path = f"{above}.{key}" if above else key
        if key in _IDLE or value is None or value in ([], {}):
            continue
        if isinstance(value, Mapping):
            yield from _walk(value, path)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value):
                yield from _walk(item, f"{path}.{_named(item, number)}")
        else:
            yield path, value


def _named(item: Mapping[str, Any], number: int) -> str:
    """What tells an item of a list: a mount by its place, an error by its number and device."""
    if "mount_point" in item:
        return str(item["mount_point"])
    if "kind" in item:
        return f"{item['kind']}{item['number']}@{item['pci']}"
    return str(number)


def _same(path: str, a: Any, b: Any) -> bool:
    if a == b:
        return True
    if path.rpartition(".")[2] in _AMOUNTS and isinstance(a, int | float) and isinstance(b, int | float):
        return min(a, b) >= _CLOSE * max(a, b) or (path.endswith("skew_s") and abs(a - b) < 1)
    return False


def _verdicts(one: HostFacts, other: HostFacts, config: str) -> dict[str, tuple[str, str]]:
    from dsv4_launch.checks.examine import examine
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve

    plan = resolve(load_config(config))
    pairs = zip(examine(plan, one), examine(plan, other), strict=True)
    return {a.code: (a.status, b.status) for a, b in pairs if a.status != b.status}


def _text(path: str, value: object) -> str:
    if path.endswith("_bytes") and isinstance(value, int) and value > 10**9:
        return f"{value / 10**9:.0f} GB"
    text = "(not there)" if value is None else value if isinstance(value, str) else canonical_json(value)
    return show.clean(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
