"""One thing that lint found, and where a reader should look for it."""

from __future__ import annotations

from dsv4_launch.catalog.lint import Severity, fault_kinds
from dsv4_launch.convert.imports.importer import Imported
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Fault, Span
from dsv4_launch.dataclass import dataclass
from dsv4_launch.values import counted


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, with its place as offsets in the text."""

    code: str
    severity: Severity
    why: str
    fix: str
    span: Span
    advisory: bool = False


def found_fault(fault: Fault, more: int = 0) -> Finding:
    """A fault of the text as a finding; ``more``: how many other places have it."""
    kind = fault_kinds()[fault.code]
    why = kind.why.replace("{said}", fault.said)
    why += f" ({counted(more, 'more such place')})" if more else ""
    fix = kind.fix.replace("{said}", fault.said) if "{said}" not in kind.fix or fault.said else ""
    return Finding(fault.code, kind.severity, why, fix, (fault.start, fault.end))


def place_of(path: str, launch: Launch, imported: Imported) -> Span:
    """The words that a path was read from, or the nearest thing that a reader should look at."""
    at = imported.at
    while path and path not in at and "." in path and not path.startswith("run."):
        path = path.rpartition(".")[0]
    if path in at:
        return at[path]
    name = path.removeprefix("run.")
    option = launch.option({"published_for_nothing": "publish", "interactive": "interactive"}.get(name, name))
    if option is not None:
        return option.span
    if name == "loopback_inside" and "host" in imported.engine.parsed.given:
        words = [imported.engine.words[n] for n in imported.engine.parsed.given["host"].at]
        return words[0].start, words[-1].end
    if name in ("model",) and imported.engine.words:
        return imported.engine.words[0].span
    if launch.image is not None and not path.startswith("engine."):
        return launch.image.span
    first = imported.engine.words[0].span if imported.engine.words else launch.span
    return first if path else launch.span
