"""What `dsv4 bench compare` does: judge whether two runs can be compared, compare them, hold them against gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.cli import options, show
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.values import to_data

if TYPE_CHECKING:
    from dsv4_launch.bench.comparability import Difference
    from dsv4_launch.bench.compare import Comparison, Delta
    from dsv4_launch.bench.series import Series

# What a terminal gets; JSON and the report have all.
_MAIN = ("itl_p50", "ttft_p50", "ttft_p95", "output_throughput")


def compare(
    first: str,
    second: str,
    fail_on: Sequence[str],
    out: str | None,
    formats: tuple[str, ...],
    references: Sequence[str],
    output: options.Output,
    *,
    force: bool,
    sure: bool,
    everything: bool,
) -> int:
    """Compare two runs; returns the exit code: 10 when a gate is crossed.

    Raises UsageError (a gate or reference that is none), InputError (a run cannot be read), ImpossibleError (they
    measured different things, without ``force``).
    """
    from dsv4_launch.bench import compare as comparing
    from dsv4_launch.bench.gates import parse_gate
    from dsv4_launch.bench.published import published
    from dsv4_launch.run.bench.series import load_all

    gates = [parse_gate(text) for text in fail_on]
    theirs = [published(key) for key in references]
    series = load_all([first, second])
    if len(series) != 2:
        raise InputError("A comparison needs two series, one from each.", where=f"{first}, {second}")
    found = _differences(series[0], series[1], gated=bool(gates), force=force)
    result = comparing.compare(series[0], series[1], gates)
    result = replace(result, notes=(*_unknown(series), *result.notes))
    crossed = [one for one in result.crossed if not sure or one.sure is not False]
    problems = [Problem("bench-gate", one.why, f"--fail-on {one.gate}") for one in crossed]
    written: list[Path] = []
    if out:
        from dsv4_launch.cli.bench import reporting

        notes = [*(f"Differs: {difference}" for difference in found if difference.breaks), *result.notes]
        title = f"{series[0].label} against {series[1].label}"
        written = reporting.write([*series, *theirs], Path(out), formats, title, _section(result), notes)
    exit_code = 10 if problems else 0
    if output is options.Output.json:
        data = {
            "before": series[0].label,
            "after": series[1].label,
            "differences": [to_data(one) for one in found],
            "deltas": [to_data(delta) | {"percent": delta.percent} for delta in result.deltas],
            "crossed": [to_data(one) for one in result.crossed],
            "notes": result.notes,
            "files": [str(path) for path in written],
        }
        show.envelope("bench", exit_code, data, problems)
        return exit_code
    _print(series, found, result, written, everything=everything)
    for problem in problems:
        show.problem(problem)
    return exit_code


def _differences(before: Series, after: Series, *, gated: bool, force: bool) -> list[Difference]:
    """What differs. Raises ImpossibleError when that makes a comparison meaningless."""
    from dsv4_launch.bench.comparability import differences, same_hardware

    if before.run is None or after.run is None:
        return []
    found = differences(before.run, after.run)
    breaking = [str(one) for one in found if one.breaks]
    if gated and not same_hardware(before.run, after.run):
        breaking += [str(one) for one in found if one.what == "GPUs"]
    if breaking and not force:
        problems = (Problem("bench-incomparable", f"The runs differ in what matters. {text}", "") for text in breaking)
        fix = "--force compares them all the same, and says so."
        raise ImpossibleError(
            *(Problem(one.code, one.message, f"{before.label}, {after.label}", fix) for one in problems)
        )
    return found


def _unknown(series: Sequence[Series]) -> list[str]:
    """Where nobody can say what differs, and what of a series could not be read."""
    names = [one.label for one in series if one.run is None]
    said = f"Nobody can say whether both measured the same: no fingerprint is in {', '.join(names)}."
    return [*([said] if names else []), *(f"{one.label}: {note}" for one in series for note in one.notes)]


def _print(
    series: Sequence[Series],
    found: Sequence[Difference],
    result: Comparison,
    written: Sequence[Path],
    *,
    everything: bool,
) -> None:
    for difference in found:
        show.note(show.clean(f"{'warning' if difference.breaks else 'note'}: {difference}"))
    for note in result.notes:
        show.note(show.clean(f"note: {note}"))
    wanted = [delta for delta in result.deltas if everything or delta.metric in _MAIN]
    rows: list[tuple[str, ...]] = [("metric", "concurrency", "before", "after", "change", "95 % interval", "")]
    rows += [_cells(delta) for delta in sorted(wanted, key=lambda delta: delta.metric)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    show.say(show.clean(f"{series[0].label} -> {series[1].label}"))
    for row in rows:
        cells = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        show.say("  ".join((*cells, row[-1])).rstrip())
    for path in written:
        show.say(show.clean(str(path)))


def _cells(delta: Delta) -> tuple[str, ...]:
    from dsv4_launch.bench.draw.tables import number
    from dsv4_launch.bench.metrics import METRICS

    unit = METRICS[delta.metric].unit
    change = "" if delta.percent is None else f"{delta.percent:+.1f} %"
    interval = "–" if delta.interval is None else f"{delta.interval.low:+.4g} to {delta.interval.high:+.4g}"
    name = f"{delta.metric} ({unit})" if unit else delta.metric
    return name, str(delta.concurrency), number(delta.before), number(delta.after), change, interval, delta.verdict


def _section(result: Comparison) -> str:
    """The comparison as a part of the page; every text in it is escaped."""
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("Metric", "Concurrency", "Before", "After", "Change", "95 % interval", "Verdict")
    )
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(delta)) + "</tr>" for delta in result.deltas
    )
    crossed = "".join(f'<li class="bad">{escape(one.why)} ({escape(one.gate)})</li>' for one in result.crossed)
    gates = f"<h3>Gates that were crossed</h3><ul>{crossed}</ul>" if crossed else ""
    return (
        f'<section aria-label="Comparison"><h2>Comparison</h2>{gates}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="Table of all changes"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></section>"
    )
