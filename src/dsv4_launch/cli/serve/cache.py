"""`dsv4 cache`: the compile and kernel caches that make a restart warm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dsv4_launch.cli import options, show
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.run.caches import CacheFolder

cache_app = typer.Typer(
    help="List and remove compile and kernel caches.\n\nExample: dsv4 cache ls",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(cache_app, name="cache")


@cache_app.command("ls")
def ls(output: options.OutputOption = options.Output.human) -> int:
    """List the caches: how large, of which image and GPU type, last written when, and whether a service uses it.

    They are those of containers. A native server keeps its own where vLLM and its libraries put them (~/.cache/vllm,
    ~/.triton and others), by their own keys.

    Example: dsv4 cache ls
    """
    root, found = _found()
    if output is options.Output.json:
        show.envelope("cache", 0, {"root": str(root), "caches": found})
        return 0
    for one in found:
        show.say(_line(one))
    show.note(f"{_many(len(found))} in {show.clean(str(root))}")
    return 0


@cache_app.command("prune")
def prune(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(metavar="[NAME]…", help="Only these, as `dsv4 cache ls` names them.", show_default=False),
    ] = None,
    yes: options.Yes = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Remove caches that no service uses; the next start of that image is cold. Weights are never touched.

    Asks first; where nobody can answer, --yes is needed. Exit 2: nobody was there to ask. 5: one is in use, or is not
    there, or cannot be removed.

    Example: dsv4 cache prune vllm-openai-v0.20.0-b200 --yes
    """
    from dsv4_launch.errors import HostError, UsageError
    from dsv4_launch.run.caches import remove
    from dsv4_launch.run.progress import size_text

    root, found = _found()
    known = {one.name: one for one in found}
    for name in names or ():
        if name not in known:
            raise HostError(f"There is no cache {name!r}.", where=str(root), fix="`dsv4 cache ls` names them.")
    chosen = [known[name] for name in names] if names else [one for one in found if not one.in_use]
    if used := [one.name for one in chosen if one.in_use]:
        raise HostError(f"{used[0]} is in use by a service.", where=str(root), fix="Stop the service first.")
    if chosen and not yes:
        for one in chosen:
            show.note(_line(one))
        if not sys.stdin.isatty():
            raise UsageError("Nobody is here to be asked.", fix="Add --yes.")
        if not typer.confirm(f"Remove {_many(len(chosen))}?", err=True):
            chosen = []
    for one in chosen:
        remove(root, one)
    freed = sum(one.bytes for one in chosen)
    if output is options.Output.json:
        show.envelope("cache", 0, {"root": str(root), "removed": chosen, "freed_bytes": freed})
    else:
        show.say(f"{_many(len(chosen))} removed, {size_text(freed)} free")
    return 0


def _many(count: int) -> str:
    return counted(count, "cache")


def _line(one: CacheFolder) -> str:
    from dsv4_launch.run.progress import size_text

    use = "in use" if one.in_use else "unused"
    return show.clean(f"{one.name}  {size_text(one.bytes)}  {use}  gpu {one.gpu or '?'}  written {one.changed}")


def _found() -> tuple[Path, tuple[CacheFolder, ...]]:
    """The caches of this user's host, with those in use: by any service of dsv4 here that is not over."""
    from dsv4_launch.cli import drivers
    from dsv4_launch.errors import Dsv4Error
    from dsv4_launch.host.places import find_places
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.caches import folders
    from dsv4_launch.run.status.status import loaded
    from dsv4_launch.values import fill

    places = find_places()
    root = Path(places["dsv4_cache"]) / "caches"
    services, problems = drivers.find_all()
    for problem in problems:
        show.problem(problem, "warning")
    used: set[str] = set()
    unknown = bool(problems)
    for service in services:
        if service.seen.life == "exited":
            continue
        try:
            plan = resolve(loaded(service.seen.config))
        except Dsv4Error:
            unknown = True
            continue
        used |= {Path(fill(b.source, places)).name for b in plan.container.binds if b.purpose == "caches"}
    found = folders(root, used)
    # What cannot be told is taken to be in use: nothing of a running service may be removed.
    return root, folders(root, {one.name for one in found}) if unknown else found
