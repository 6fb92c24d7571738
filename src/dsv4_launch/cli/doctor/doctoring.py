"""`dsv4 doctor`: look at a host (or take a recorded one), judge it, say what is wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dsv4_launch.cli import options, show, verdicts
from dsv4_launch.cli.fact_files import read_facts, write_file
from dsv4_launch.errors import UsageError

if TYPE_CHECKING:
    from dsv4_launch.checks.examine import Result
    from dsv4_launch.facts import HostFacts
    from dsv4_launch.plan.types import Plan


def examine_host(
    wanted: tuple[str | None, Sequence[str] | None, str | None],
    save: str | None,
    recorded: str | None,
    bundle: str | None,
    skip: Sequence[str],
    output: options.Output,
    *,
    network: bool,
) -> int:
    """Judge a host for the config that ``wanted`` names (with overrides and target), print it, return the exit code."""
    from dsv4_launch.checks.examine import blocking, examine, parse_skips
    from dsv4_launch.checks.selection import asked, select
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve

    if recorded and (save or network):
        raise UsageError(
            "--facts looks at no host, so there is nothing to --save and no --network to ask.",
            fix="Leave --facts out, or the others.",
        )
    skips = parse_skips(skip)
    plan = resolve(load_config(*wanted))
    plan = plan if recorded else asked(plan, os.environ)
    facts = read_facts(recorded) if recorded else _look(plan, network=network)
    results = examine(plan, facts, skips)
    failed = blocking(results, recorded=recorded is not None)
    if save:
        write_file(save, facts.model_copy(update={"origin": "recorded"}).to_json().encode())
    if bundle:
        from dsv4_launch.cli.doctor.bundle import pack

        write_file(bundle, pack(plan, facts, results))
    exit_code = 5 if failed else 0
    if output is options.Output.json:
        data = {"name": plan.name, "target": plan.target, "host": _host(facts, recorded), "checks": results}
        show.envelope("doctor", exit_code, data, [result.problem() for result in failed])
        return exit_code
    _tell(plan, facts, results, failed, recorded)
    gpus = select(plan, facts) if plan.gpus.visible == "auto" and plan.gpus.count and not failed else None
    if gpus:
        show.say(f"It would take GPUs {','.join(map(str, gpus))}")
    for path in (save, bundle):
        if path:
            show.note(f"Wrote {path}")
    return exit_code


def _look(plan: Plan, *, network: bool) -> HostFacts:
    from dsv4_launch.checks.request import request_for
    from dsv4_launch.host.places import find_places
    from dsv4_launch.host.probe import probe

    return probe(request_for(plan, find_places(), network=network), datetime.now(UTC).isoformat(timespec="seconds"))


def _host(facts: HostFacts, recorded: str | None) -> dict[str, object]:
    return {
        "file": recorded,
        "origin": facts.origin,
        "schema_version": facts.schema_version,
        "taken_at": facts.taken_at,
        "note": facts.note,
        "unread": facts.unread,
    }


def _tell(
    plan: Plan, facts: HostFacts, results: Sequence[Result], failed: Sequence[Result], recorded: str | None
) -> None:
    verdicts.tell(results)
    if facts.unread:
        show.note(f"warning: {recorded} is of a newer schema; left out: {show.clean(', '.join(facts.unread))}")
    where = f"the {facts.origin} host {recorded}" if recorded else "this host"
    marks = [verdicts.mark(result) for result in verdicts.worst_first(results)]
    counts = ", ".join(
        f"{marks.count(word)} {word}" for word in ("ok", "warning", "skipped", "unknown") if word in marks
    )
    if failed:
        codes = ", ".join(result.code for result in failed)
        show.say(f"{plan.name} cannot be launched on {where}: {codes} ({counts})")
    else:
        show.say(f"Nothing on {where} forbids launching {plan.name} ({counts})")
