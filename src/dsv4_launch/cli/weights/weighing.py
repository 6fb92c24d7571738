"""What `dsv4 pull` and `dsv4 weights` do, and what they say of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsv4_launch.cli import options, show
from dsv4_launch.errors import ImpossibleError, Interrupted, Problem, UsageError, WeightsError
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.run.progress import Progress
    from dsv4_launch.run.weights.cache import Cached
    from dsv4_launch.run.weights.pull import Pull, Watch
    from dsv4_launch.run.weights.verify import Verdict

_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# State of a file: what is said of it; the code is ``weights-`` and the state.
SAID: Final = {
    "missing": "is not here",
    "wrong-size": "has not the size that it was published with",
    "wrong-hash": "has not the content that it was published with",
    "unreadable": "cannot be read; the disk may be failing",
    "not-checked": "cannot be judged: nothing here says what it should hash to",
}


def pull(
    config: str | None,
    overrides: Sequence[str] | None,
    revision: str | None,
    source: str | None,
    output: options.Output,
) -> int:
    """Fetch, and say the commit."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt
    from dsv4_launch.run.weights.cache import COMMIT, cached

    wanted = _pull_of(config, overrides)
    wanted = replace(wanted, revision=revision) if revision else wanted
    terminate_as_interrupt()
    try:
        path = Path(_fetch(wanted, source))
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted. What is complete of {wanted.repo} is kept.", fix="Run it again and it goes on from there."
        ) from None
    (found,) = [one for one in cached(wanted.cache, wanted.repo) if one.commit == path.name]
    if output is options.Output.json:
        data = {"repo": found.repo, "commit": found.commit, "path": found.path, "cache": wanted.cache}
        show.envelope("pull", 0, {**data, "size_bytes": found.size_bytes, "files": found.files, "source": source})
        return 0
    show.say(f"{found.repo} is complete at {found.commit}: {counted(found.files, 'file')}, {_size(found.size_bytes)}")
    show.say(f"  in {found.path}")
    if not COMMIT.fullmatch(wanted.revision):
        show.note("`dsv4 pin` writes this commit into a config, so that every node serves the same bytes.")
    return 0


def ls(model: str | None, output: options.Output) -> int:
    """A line a snapshot."""
    from dsv4_launch.run.weights.cache import cached

    wanted = _model(model) if model else None
    cache = wanted.cache if wanted else _cache()
    found = cached(cache, wanted.repo if wanted else "")
    if output is options.Output.json:
        show.envelope("weights", 0, {"cache": cache, "snapshots": found})
        return 0
    if not found:
        show.note(f"No weights{f' of {wanted.repo}' if wanted else ''} in {cache}.")
    for one in found:
        refs = f" ({', '.join(one.refs)})" if one.refs else ""
        show.say(f"{one.repo} {one.commit}{refs}  {counted(one.files, 'file')}, {_size(one.size_bytes)}, {_state(one)}")
    return 0


def verify(model: str | None, revision: str | None, output: options.Output, *, repair: bool) -> int:
    """Every file of the asked snapshots; what is broken is told, or fetched again."""
    from dsv4_launch.run.weights import verify as weights_verify

    wanted = _model(model)
    snapshots = _asked(wanted, revision or wanted.revision)
    progress, _ = _progress()
    try:
        verdicts = [weights_verify.verify(wanted.cache, one, progress) for one in snapshots]
        repaired = [file.path for verdict in verdicts for file in verdict.broken] if repair else []
        if repaired:
            verdicts = [_repair(wanted, verdict, one) for verdict, one in zip(verdicts, snapshots, strict=True)]
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; nothing is known of what was not checked.") from None
    problems = [_problem(verdict, file.path, file.state) for verdict in verdicts for file in verdict.broken]
    problems += [_problem(verdict, file.path, file.state) for verdict in verdicts for file in verdict.unknown]
    if problems:
        raise WeightsError(*problems)
    if output is options.Output.json:
        data = [{"repo": v.repo, "commit": v.commit, "files": v.files} for v in verdicts]
        show.envelope("weights", 0, {"cache": wanted.cache, "snapshots": data, "repaired": repaired})
        return 0
    for verdict in verdicts:
        size = _size(sum(file.size for file in verdict.files))
        show.say(f"{verdict.repo} {verdict.commit}  {counted(len(verdict.files), 'file')}, {size}, intact")
    for path in repaired:
        show.say(f"  fetched again: {path}")
    return 0


def rm(model: str, revision: str | None, output: options.Output, *, yes: bool) -> int:
    """Ask, and remove."""
    from dsv4_launch.run.weights.remove import remove

    wanted = _model(model)
    found = _asked(wanted, revision or "", every=not revision)
    what = f"{wanted.repo} ({', '.join(one.commit[:12] for one in found)}; {_size(sum(o.size_bytes for o in found))})"
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"Nobody is here to be asked whether to remove {what}.", where="stdin", fix="Add --yes.")
        show.note(f"Remove {what} from {wanted.cache}? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            show.note("Nothing was removed.")
            return 0
    freed = remove(wanted.cache, wanted.repo, [one.commit for one in found])
    if output is options.Output.json:
        commits = [one.commit for one in found]
        show.envelope("weights", 0, {"repo": wanted.repo, "removed": commits, "freed_bytes": freed})
    else:
        show.say(f"Removed {what}; {_size(freed)} are free again")
    return 0


def _fetch(wanted: Pull, source: str | None) -> str:
    from dsv4_launch.run.weights.pull import pull_weights
    from dsv4_launch.run.weights.source import copy_weights, source_of

    progress, watch = _progress()
    if source is None:
        return pull_weights(wanted, os.environ, progress, watch=watch)
    return copy_weights(wanted, source_of(source, wanted.repo, os.environ), source, progress, watch)


def _repair(wanted: Pull, verdict: Verdict, snapshot: Cached) -> Verdict:
    """Fetch what is broken, and look at it all again."""
    from dsv4_launch.run.weights.pull import pull_weights
    from dsv4_launch.run.weights.verify import verify

    progress, watch = _progress()
    if not verdict.broken:
        return verdict
    again = tuple(file.path for file in verdict.broken)
    pull_weights(replace(wanted, revision=verdict.commit, again=again), os.environ, progress, watch=watch)
    return verify(wanted.cache, snapshot, progress)


def _asked(wanted: Pull, revision: str, *, every: bool = False) -> list[Cached]:
    """The snapshots that are meant. Raises WeightsError when there is none."""
    from dsv4_launch.run.weights.cache import cached, commit_of

    found = cached(wanted.cache, wanted.repo)
    commit = commit_of(wanted.cache, wanted.repo, revision)
    if not every and (commit or revision):
        found = [one for one in found if one.commit == commit]
    if not found:
        at = f" at {revision}" if revision else ""
        raise WeightsError(
            f"There are no weights of {wanted.repo}{at} here.",
            where=wanted.cache,
            fix="`dsv4 weights ls` lists what is here, `dsv4 pull` fetches.",
            code="weights-none",
        )
    return found


def _model(name: str | None) -> Pull:
    """The model of a config, or a repository."""
    from dsv4_launch.run.weights.pull import Pull

    if name and _REPO.fullmatch(name) and not Path(name).exists() and not name.endswith((".yaml", ".yml")):
        return Pull(name, "", _cache(), "HF_TOKEN")
    return _pull_of(name)


def _pull_of(config: str | None, overrides: Sequence[str] | None = None) -> Pull:
    from dsv4_launch.checks.request import request_for
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.host.places import find_places
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.weights.pull import pull_of

    loaded = load_config(config, overrides)
    plan = resolve(loaded)
    found = pull_of(plan, request_for(plan, find_places()).hub_cache or "")
    if found is None:
        raise ImpossibleError(
            f"{plan.name} serves a folder of this host; there is nothing to pull.",
            where=loaded.origins.where(("model",)),
            fix="Name a repository (model.repo) instead of a path, or just `dsv4 serve`.",
            code="nothing-to-pull",
        )
    return found


def _cache() -> str:
    from dsv4_launch.host.places import find_places

    home = find_places()["hf_home"].rstrip("/")
    return home if home.endswith("/hub") else f"{home}/hub"


def _progress() -> tuple[Progress, Watch | None]:
    """Bars on a terminal, plain lines anywhere else."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from dsv4_launch.run.weights.bars import Bars

        bars = Bars(show.console(stderr=True))
        return bars, bars.watch
    from dsv4_launch.run.progress import PlainProgress

    return PlainProgress(show.note), None


def _problem(verdict: Verdict, path: str, state: str) -> Problem:
    fix = "`dsv4 weights verify --repair` fetches it again, and nothing else."
    if state == "not-checked":
        fix = "Files copied without their links have lost their hashes: `dsv4 weights rm`, then `dsv4 pull`."
    where = f"{verdict.repo} {verdict.commit}"
    return Problem(f"weights-{state}", f"{path} {SAID[state]}.", where, fix)


def _state(one: Cached) -> str:
    if one.missing is None:
        return "not known whether complete"
    if not one.missing:
        return "complete"
    more = f" and {len(one.missing) - 3} more" if len(one.missing) > 3 else ""
    return f"incomplete: no {', '.join(one.missing[:3])}{more}"


def _size(count: Any) -> str:
    from dsv4_launch.run.progress import size_text

    return size_text(count)
