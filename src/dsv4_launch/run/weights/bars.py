"""Bars on a terminal: one for each file that comes in, and a total with rate and time left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dsv4_launch.run.progress import Now
from dsv4_launch.run.weights.pull import FileNow
from dsv4_launch.values import clean

if TYPE_CHECKING:
    from rich.console import Console

# A terminal has few lines: files that came in whole leave, those that wait are not shown yet.
MOST_BARS: Final = 12


class Bars:
    """A progress (see `dsv4_launch.run.progress.Progress`) that knows of files too."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: Any = None
        self._total: Any = None
        self._tasks: dict[str, Any] = {}

    def say(self, text: str) -> None:
        """A line that stays, above the bars."""
        from rich.text import Text

        (self._shown.console if self._shown else self._console).print(Text(clean(text)))

    def show(self, now: Now) -> None:
        """The total; before anything is known, what is waited for."""
        shown = self._open()
        title = clean(f"{now.title} ({now.detail})" if now.detail else now.title)
        if self._total is None:
            self._total = shown.add_task(title, total=now.total or None)
        shown.update(self._total, description=title, completed=now.done, total=now.total or None)

    def watch(self, files: Sequence[FileNow]) -> None:
        """A bar for each file of which a part is here."""
        shown = self._open()
        moving = {f.path: f for f in files if 0 < f.done < f.total}
        for path in [path for path in self._tasks if path not in moving]:
            shown.remove_task(self._tasks.pop(path))
        for path, file in list(moving.items())[:MOST_BARS]:
            if path not in self._tasks:
                self._tasks[path] = shown.add_task(f"  {clean(path)}", total=file.total)
            shown.update(self._tasks[path], completed=file.done)

    def close(self) -> None:
        """Take the bars away."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = self._total = None
            self._tasks = {}

    def _open(self) -> Any:
        if self._shown is None:
            from rich import progress

            self._shown = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=self._console,
                transient=True,
                refresh_per_second=4,
            )
            self._shown.start()
        return self._shown
