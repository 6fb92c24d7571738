"""A config moved to another vLLM release: every border crossed in order, each change with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dsv4_launch.catalog.flags import FlagTable, flag_table, nearest_version, versions
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.migrations import BACK, CONVERSIONS, Migration, behaviours, migrations
from dsv4_launch.catalog.rules import applies
from dsv4_launch.config.edit import REMOVED, edit, find
from dsv4_launch.config.load import Loaded, Origins, load
from dsv4_launch.config.yaml_text import Path, parse
from dsv4_launch.convert.migrate.move import emptied, move, place_of
from dsv4_launch.convert.migrate.places import Place, from_json, has, name_at, places
from dsv4_launch.convert.migrate.release import release_of, set_release
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.plan.resolve import examine_config


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that changed: where it stood, what it is now ("" when it is gone), at which release, and why."""

    where: str
    path: str
    old: Any
    new: str
    release: str
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the new release does differently with the same config, or what is left to do."""

    release: str
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The new text of a config, what changed in it, and what to know. ``before`` is the release that it was for."""

    text: str
    before: str
    after: str
    changes: tuple[Change, ...]
    notes: tuple[Note, ...]


def migrate(text: str, file: str, to: str) -> Migrated:
    """A config's text for release ``to``. Migrating what was migrated changes nothing.

    Raises InputError (not a config, no such release) or ImpossibleError: all that the release cannot do.
    """
    if to not in versions():
        near, _ = nearest_version(to)
        raise InputError(
            f"There is no release {to} that dsv4 knows.",
            where="--to",
            fix=f"The nearest is {near}. Known: {', '.join(versions())}.",
            code="version-unknown",
        )
    loaded = load(text, file)
    before = release_of(loaded)
    work = _Work(text, file, loaded, to)
    work.release(before)
    start, _ = nearest_version(before)
    order = versions()
    first, last = order.index(start), order.index(to)
    for n in range(first + 1, last + 1):
        work.cross(order[n], _up(order[n]), flag_table(order[n - 1]))
    for n in range(first, last, -1):
        work.cross(order[n], _down(order[n], order[n - 1]), flag_table(order[n]))
    problems = work.problems()
    if problems and not work.refused:
        # The version was raised by hand before: what older borders took away still stands there.
        for n in range(1, min(first, last) + 1):
            work.cross(order[n], _up(order[n]), flag_table(order[n - 1]))
        problems = work.problems()
    if problems or work.refused:
        raise ImpossibleError(*work.refused, *problems)
    crossed = order[first + 1 : last + 1] or order[last + 1 : first + 1]
    notes = _notes(work, crossed, up=last > first)
    return Migrated(work.text, before, to, tuple(work.changes), (*work.told, *notes))


class _Work:
    """A text on its way, and what was done to it."""

    def __init__(self, text: str, file: str, loaded: Loaded, to: str) -> None:
        self.text, self.file, self.to = text, file, to
        self.origins = loaded.origins
        config = loaded.config
        gpu = gpus().get(config.gpu)
        self.facts = {
            "arch": gpu.arch if gpu else "",
            "gpu": config.gpu,
            "target": config.target.type,
            "indexer_cache_dtype": config.engine.indexer_cache_dtype or "",
        }
        self.changes: list[Change] = []
        self.told: list[Note] = []
        self.refused: list[Problem] = []
        self.stuck: list[Path] = []

    def release(self, before: str) -> None:
        """Write the release and its image."""
        loaded = load(self.text, self.file)
        edits, notes, problems = set_release(loaded, before, self.to)
        data, _ = parse(self.text, self.file)
        self.told += [Note(self.to, note) for note in notes]
        self.refused += problems
        for path, value, why in edits:
            self._changed(path, _at(data, path), str(value), self.to, why, "")
            self.text = edit(self.text, [(path, value)], self.file)

    def cross(self, border: str, rows: tuple[Migration, ...], table: FlagTable) -> None:
        """Do what the rows say about settings that the release before the border knows, until none is left."""
        done: set[Path] = set()
        while (hit := self._next(rows, table, done)) is not None:
            place, row = hit
            if row.action == "keep":
                done.add(place.path)
            elif row.action == "refuse" and not _was_default(place, table):
                done.add(place.path)
                self.stuck.append(place.text_at or place.path)
                message = f"{_dotted(place.path)} {_shown(place.value)}: vLLM {border} cannot do it: {row.why}."
                self.refused.append(Problem("gone", message, self.origins.where(place.path), "Take it out first."))
            elif place.text_at:  # a table as JSON text is opened, so that what stays in it can be edited
                data, _ = parse(self.text, self.file)
                self.text = edit(self.text, [(place.text_at, from_json(_at(data, place.text_at)))], self.file)
            else:
                self._apply(border, place, row)

    def _next(self, rows: tuple[Migration, ...], table: FlagTable, done: set[Path]) -> tuple[Place, Migration] | None:
        data, _ = parse(self.text, self.file)
        for place in places(data, table):
            row = next((row for row in rows if row.is_about(place.name, place.value) and self._fits(row, data)), None)
            if row is not None and place.path not in done:
                return place, row
        return None

    def _fits(self, row: Migration, data: Any) -> bool:
        said = not row.only_with or any(find(data, path.split(".")) for path in row.only_with)
        return said and applies(row.when, self.facts)

    def _apply(self, border: str, place: Place, row: Migration) -> None:
        convert = (BACK if row.back else CONVERSIONS)[row.convert]
        new: dict[Path, Any] = {}
        try:
            if row.action == "rename":
                path = place_of(row.to, place)
                value = convert(place.value)
                new = {path: str(value) if path[0] == "env" else value}
            elif row.set:
                new = {place_of(target, place): value for target, value in row.set.items()}
            elif row.action == "replace":
                new = {place.path: convert(place.value) if row.value is None else row.value}
        except (ValueError, TypeError, ZeroDivisionError):
            new = {}  # the value was none that vLLM took; without it the release's default holds
        self.text, made = move(self.text, self.file, place, new)
        shown = ", ".join(f"{_dotted(path)}: {_shown(value)}" for path, value in made.items())
        self._changed(place.path, place.value, shown, border, row.why, row.source)

    def _changed(self, path: Path, old: Any, new: str, release: str, why: str, source: str) -> None:
        self.changes.append(Change(self.origins.where(path), _dotted(path), old, new, release, why, source))

    def problems(self) -> list[Problem]:
        """What the release refuses besides what is said to be gone, at the lines of the text as it was given."""
        text = self.text
        for path in self.stuck:
            text = edit(text, [(emptied(parse(text, self.file)[0], path), REMOVED)], self.file)
        try:
            loaded = load(text, self.file)
        except InputError as error:
            return list(error.problems)
        _, lines = parse(text, self.file)
        kept = {path: self.origins.lines.get(path, 0) for path in lines}
        origins = Origins(self.file, {path: line for path, line in kept.items() if line})
        _, problems = examine_config(replace(loaded, origins=origins))
        return problems


def _up(border: str) -> tuple[Migration, ...]:
    return tuple(row for row in migrations() if border in row.borders and not row.down)


def _down(border: str, older: str) -> tuple[Migration, ...]:
    """What to do when a border is crossed backwards: its own rows, renames undone, variables that nobody reads."""
    now, then = flag_table(border), flag_table(older)
    rows = [row for row in migrations() if border in row.borders and row.down]
    for row in migrations():
        if row.back and border in row.borders:
            rows.append(replace(row, values=(row.value,), value=row.values[0]))
        if row.action == "rename" and row.back is not False and (back := _undone(row, now, then)) is not None:
            rows.append(back)
    unread = tuple(f"env.{name}" for name in now.env if name not in then.env)
    why = f"vLLM {older} does not read it"
    rows.append(Migration((border,), True, unread, "drop", why, f"vllm {older} envs.py"))
    return tuple(rows)


def _undone(row: Migration, now: FlagTable, then: FlagTable) -> Migration | None:
    """A rename backwards, when the older release has the old name alone."""
    old = row.names[0]
    cls, dot, _ = old.rpartition(".")
    new = (f"{cls}{dot}{row.to[1:]}" if dot else row.to[1:]) if row.to.startswith(".") else name_at(row.to, now)
    if not new or not has(now, new) or has(then, new) or not has(then, old):
        return None
    to = (
        f".{old.rpartition('.')[2]}" if row.to.startswith(".") else (old if old.startswith("env.") else f"engine.{old}")
    )
    why = f"the older name: {row.why}"
    return Migration(row.borders, True, (new,), "rename", why, row.source, to=to, convert=row.convert, back=True)


def _was_default(place: Place, table: FlagTable) -> bool:
    """True when the config says what the release would have done without it."""
    cls, dot, key = place.name.partition(".")
    if cls == "env" and dot:
        known: Any = table.env[key].default
    else:
        known = table.nested(cls)[key].default if dot else table.by_dest[place.name].default
    return place.value is None or str(place.value) == str(known)


def _notes(work: _Work, crossed: tuple[str, ...], *, up: bool) -> tuple[Note, ...]:
    data, _ = parse(work.text, work.file)
    engine = data.get("engine") or {}
    facts = {**work.facts, "indexer_cache_dtype": str(engine.get("indexer_cache_dtype") or "")}
    return tuple(
        Note(change.since, change.up if up else change.down, change.source)
        for change in behaviours()
        if change.since in crossed
        and applies(change.when, facts)
        and (not change.only or any(find(data, path.split(".")) for path in change.only))
        and not any(find(data, path.split(".")) for path in change.unless)
    )


def _at(data: Any, path: Path) -> Any:
    for key in path:
        data = data.get(key) if hasattr(data, "get") else None
    return data


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple | list) else str(value)
