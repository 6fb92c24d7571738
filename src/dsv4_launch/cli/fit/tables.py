"""The memory of a deployment for a person: a table, one GPU as a bar, sweeps and recommendations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsv4_launch.cli import show
from dsv4_launch.config.write import config_lines
from dsv4_launch.plan.fit.sweep import Row
from dsv4_launch.plan.fit.types import Capacity, MemoryFit
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.plan.fit.recommend import Choice

_WIDTH = 60
_FIXED = "source"


def summary(fit: MemoryFit) -> list[tuple[str, str]]:
    """The fit in a few lines, for a plan: name and text."""
    return [("memory" if number == 0 else "", line) for number, line in enumerate(_short(fit))]


def _short(fit: MemoryFit) -> list[str]:
    each = "an engine" if fit.engines > 1 else "the server"
    low, high = fit.low, fit.high
    lines = [
        f"{fit.weights_gib:.1f} GiB weights, {_room(fit)} GiB KV cache, of {fit.gpu_gib:.1f} GiB a GPU",
        f"{each} holds {_span(low.resident_concurrency, high.resident_concurrency, 0)} requests of "
        f"{fit.max_model_len:,} tokens (the log will say {_span(low.max_concurrency, high.max_concurrency, 2)}x)",
    ]
    if fit.engines > 1:
        lines.append(f"all {fit.engines} engines: {counted(fit.sums.resident_concurrency, 'request')}")
    return lines


def show_fit(fit: MemoryFit, notes: Iterable[str] = ()) -> None:
    """Print the fit."""
    console = show.console()
    from rich.text import Text

    for line in bar(fit):
        console.print(line)
    console.print()
    for name, text in _table(fit):
        console.print(Text.assemble((f"{name:<48}", "bold"), text))
    if not fit.measured:
        console.print(
            Text("A span is what only a start shows: activations and CUDA graphs. --log FILE replaces it.", style="dim")
        )
    for note in notes:
        console.print(Text(show.clean(note), style="dim"))


def bar(fit: MemoryFit) -> list[object]:
    """One GPU's memory as a bar of characters, and its legend; parts in GiB."""
    from rich.text import Text

    fixed = sum(part.gib.middle for part in fit.overhead_gib.parts if part.how == _FIXED)
    fitted = (fit.overhead_gib.low + fit.overhead_gib.high) / 2 - fixed
    parts = [
        ("█", "weights", fit.weights_gib, "blue"),
        ("▓", "KV cache", max(fit.available_kv_gib, 0.0), "green"),
        ("▒", "buffers", fixed, "yellow"),
        ("░", "activations, CUDA graphs, context", fitted, "magenta"),
        ("·", "not given to vLLM", fit.gpu_gib - fit.usable_gib, "dim"),
    ]
    line, used = Text("["), 0.0
    done = 0
    for mark, _, gib, style in parts:
        used += max(gib, 0.0)
        upto = min(round(used / fit.gpu_gib * _WIDTH), _WIDTH)
        line.append(mark * max(upto - done, 0), style=style)
        done = max(done, upto)
    line.append(" " * (_WIDTH - done) + f"] {fit.gpu_gib:.1f} GiB on one GPU")
    legend = [Text.assemble((f" {mark} ", style), f"{gib:7.2f} GiB  {name}") for mark, name, gib, style in parts if gib]
    return [line, *legend]


def _table(fit: MemoryFit) -> list[tuple[str, str]]:
    low, high = fit.low, fit.high
    rows = [("weights", f"{fit.weights_gib:.2f} GiB")]
    for part in fit.overhead_gib.parts:
        rows.append((part.name, f"{_span(part.gib.low, part.gib.high, 2)} GiB  ({part.how})"))
    rows += [
        (
            "KV cache",
            f"{_room(fit, 2)} GiB{'  (measured)' if fit.measured else ''}",
        ),
        ("bytes of a block", f"{fit.bytes_per_block:,}"),
        ("blocks", _of(fit, "num_blocks", 0)),
        ("longest request", f"{_span(low.longest, high.longest, 0)} tokens"),
        ("served length", f"{_span(low.max_model_len, high.max_model_len, 0)} tokens"),
        ("logged tokens", _of(fit, "tokens", 0)),
        ("logged concurrency", f"{_of(fit, 'max_concurrency', 2)}"),
        ("resident requests", _of(fit, "resident_concurrency", 0)),
    ]
    if fit.engines > 1:
        rows.append((f"sum of {fit.engines} engines", f"{fit.sums.resident_concurrency:,} resident requests, logged "
                     f"{fit.sums.max_concurrency:,.2f}x and {fit.sums.tokens:,} tokens"))  # fmt: skip
    if fit.regime == "A":
        rows.append(("", "0.20.0 logs a number of tokens that says nothing about the pool."))
    return rows


def _of(fit: MemoryFit, name: str, digits: int) -> str:
    low, middle, high = (float(getattr(c, name)) for c in (fit.low, fit, fit.high))
    text = f"{middle:,.{digits}f}"
    return text if low == high else f"{text}  ({low:,.{digits}f} to {high:,.{digits}f})"


def _span(low: float, high: float, digits: int = 1) -> str:
    first, last = f"{low:,.{digits}f}", f"{high:,.{digits}f}"
    return first if first == last else f"{first} to {last}"


def _room(fit: MemoryFit, digits: int = 1) -> str:
    """GiB for KV, from low to high; where all else takes more than there is, none."""
    low, high = (max(end.available_kv_gib, 0.0) for end in (fit.low, fit.high))
    return _span(low, high, digits) if high else "no"


def show_sweep(rows: Sequence[Row]) -> None:
    """Print a sweep as a table; KV and concurrencies as low to high."""
    names = list(rows[0].values) if rows else []
    header = [*names, "GPUs", "weights", "KV GiB", "blocks", "longest", "logged (all)", "resident (all)"]
    body = [
        [
            *row.values.values(),
            str(row.gpus),
            f"{row.fit.weights_gib:.1f}",
            _room(row.fit, 0),
            f"{row.fit.num_blocks:,}",
            f"{row.fit.low.longest:,}",
            _sums(row.fit, "max_concurrency", 1) if row.fit.high.fits else "does not fit",
            _sums(row.fit, "resident_concurrency", 0) if row.fit.high.fits else "0",
        ]
        for row in rows
    ]
    widths = [max(len(line[n]) for line in [header, *body]) for n in range(len(header))]
    for line in [header, *body]:
        show.say("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _sums(fit: MemoryFit, name: str, digits: int) -> str:
    ends: tuple[Capacity, Capacity] = (fit.low, fit.high)
    low, high = (float(getattr(end, name)) * fit.engines for end in ends)
    return _span(low, high, digits)


def show_choices(choices: Sequence[Choice], config: Mapping[str, Any], most: int = 5) -> None:
    """Print recommendations, best first, and the config of the best."""
    from rich.text import Text

    console = show.console()
    for number, choice in enumerate(choices[:most], start=1):
        sure = "" if choice.certain else "  (only if the overhead is not at its highest)"
        console.print(Text(f"{number}. {choice.layout} on {counted(choice.gpus, 'GPU')}{sure}", style="bold"))
        for text in choice.decides:
            console.print(Text(f"   {text}"))
        for m in choice.measured:
            console.print(Text(f"   measured, vLLM {m.vllm}: {m.what} ({m.source})"))
    console.print()
    console.print(Text(f"# config for {choices[0].layout}", style="bold"))
    for line in config_lines(config):
        show.say(line)
