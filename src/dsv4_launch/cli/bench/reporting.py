"""What `dsv4 bench report` does: read runs, write the report in every asked format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.cli import options, show
from dsv4_launch.errors import HostError, Problem, UsageError
from dsv4_launch.values import counted, listed

if TYPE_CHECKING:
    from dsv4_launch.bench.series import Series

FORMATS = ("html", "md", "csv", "svg", "png")


def formats(text: str) -> tuple[str, ...]:
    """The formats of ``html,md,…``. Raises UsageError for one that is none."""
    asked = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    unknown = [word for word in asked if word not in FORMATS]
    if unknown or not asked:
        raise UsageError(
            f"{unknown[0] if unknown else 'Nothing'!r} is no format.", where="--format", fix=f"{listed(FORMATS)}."
        )
    return asked


def report(
    paths: Sequence[str],
    out: str | None,
    asked: tuple[str, ...],
    title: str | None,
    references: Sequence[str],
    output: options.Output,
) -> int:
    """Write the report of runs; returns the exit code.

    Raises InputError (a run cannot be read), ToolError (the extra is missing), HostError (cannot be written).
    """
    from dsv4_launch.bench.published import published
    from dsv4_launch.run.bench.series import load_all

    theirs = [published(key) for key in references]
    series = (*load_all(paths), *theirs)
    folder = Path(out) if out else _beside(paths[0])
    written = write(series, folder, asked, title or _title(series))
    notes = notes_of(series)
    if output is options.Output.json:
        data = {
            "folder": str(folder),
            "files": [str(path) for path in written],
            "series": [
                {"label": one.label, "kind": one.kind, "points": len(one.samples), "notes": one.notes} for one in series
            ],
            "notes": notes,
        }
        show.envelope("bench", 0, data)
        return 0
    for note in (*notes, *(f"{one.label}: {note}" for one in series for note in one.notes)):
        show.problem(Problem("note", note), "warning")
    for path in written:
        show.say(show.clean(str(path)))
    return 0


def _beside(path: str) -> Path:
    """Inside the first run directory; beside the first file."""
    first = Path(path)
    return (first if first.is_dir() else first.parent) / "report"


def _title(series: Sequence[Series]) -> str:
    labels = [one.label for one in series]
    return "Benchmark: " + (", ".join(labels) if len(labels) <= 3 else f"{labels[0]} and {len(labels) - 1} more")


def notes_of(series: Sequence[Series]) -> list[str]:
    """What a reader must know before looking at any chart."""
    samples = [sample for one in series for sample in one.samples]
    good = [sample for sample in samples if sample.status != "failed"]
    if not samples:
        return ["No point was measured."]
    if not good:
        return ["No request of any point succeeded: there are no figures, and no chart to draw."]
    limited = sum(sample.status == "client-limited" for sample in samples)
    failed, errors = len(samples) - len(good), sum(sample.status == "some requests failed" for sample in samples)
    told = (
        (failed, "failed (crosses on the axis of the charts)"),
        (errors, "lost some requests (squares)"),
        (limited, "limited by the load generator, not by the server (triangles): that is what the client can do"),
    )
    return [f"{count} of {counted(len(samples), 'point')}: {what}." for count, what in told if count]


def write(
    series: Sequence[Series], folder: Path, asked: Sequence[str], title: str, below: str = "", more: Sequence[str] = ()
) -> list[Path]:
    """Write the report's files; returns them. ``below`` is HTML of ours, ``more`` notes that come first.

    Raises ToolError when charts are asked for and the extra is missing, HostError when the folder cannot be written.
    """
    from dsv4_launch.bench.draw import page, tables
    from dsv4_launch.bench.draw.charts import CHARTS, applies
    from dsv4_launch.bench.draw.rows import rows as rows_of
    from dsv4_launch.host.places import find_places
    from dsv4_launch.run.bench import drawing

    rows, labels = rows_of(series), [one.label for one in series]
    notes = [*more, *notes_of(series)]
    files: dict[str, bytes] = {}
    pictures: dict[str, str] = {}
    kinds = [kind for kind in ("svg", "png") if kind in asked]
    for chart in CHARTS if kinds else ():
        if not applies(chart, rows):
            continue
        drawn = drawing.picture(chart, rows, labels)
        for kind in kinds:
            files[f"{chart.key}.{kind}"] = drawn[kind]()
            pictures.setdefault(chart.key, f"{chart.key}.{kind}")
    if "csv" in asked:
        files["points.csv"] = tables.csv_text(series).encode()
    if "md" in asked:
        files["report.md"] = tables.markdown(title, series, rows, pictures, notes).encode()
    if "html" in asked:
        script = drawing.bundle(Path(find_places()["dsv4_cache"]))
        files["report.html"] = page.html(title, series, rows, notes, script, below).encode()
    return save(folder, files)


def save(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder that is made. Raises HostError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            part = folder / f".{name}.part"
            part.write_bytes(data)
            part.replace(folder / name)
    except OSError as error:
        raise HostError(
            f"The report cannot be written: {error.strerror or error}.",
            where=str(error.filename or folder),
            fix="Name a folder that you may write with --out.",
            code="bench-write",
        ) from None
    return [folder / name for name in reversed(list(files))]
