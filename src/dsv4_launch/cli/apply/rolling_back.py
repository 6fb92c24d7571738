"""`dsv4 rollback`: which entry of the history is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsv4_launch.cli import drivers, options, show
from dsv4_launch.cli.apply.applying import Chosen, change_to, is_over
from dsv4_launch.cli.apply.histories import read
from dsv4_launch.errors import Dsv4Error, HostError, UsageError

if TYPE_CHECKING:
    from dsv4_launch.run.history.entries import Entry


def roll_back(name: str | None, number: int | None, target: str | None, wanted: Chosen, output: options.Output) -> int:
    """Go back to an entry of the history. Raises HostError when there is none."""
    from dsv4_launch.cli.service.statuses import named
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.status.status import loaded

    if name is not None and name.isdigit() and number is None and not _has_history(name):
        number, name = int(name), None
    name = named(name)[0] if name is not None else _only_name()
    entry = _entry(name, number, target)
    try:
        plan = resolve(loaded(entry.config))
    except Dsv4Error as error:
        raise HostError(
            f"The config of entry {entry.number} is not valid for this version of dsv4: {error.problems[0].message}",
            where=f"history of {name}",
            code="no-config",
        ) from None
    if output is options.Output.human:
        show.note(
            show.clean(f"Going back to entry {entry.number} of {entry.when} (vllm {entry.vllm}, {entry.outcome})")
        )
    return change_to(plan, wanted, output, "rollback", entry.image_digest, f"rollback to {entry.number}")


def _entry(name: str, number: int | None, target: str | None) -> Entry:
    from dsv4_launch.run.history.entries import last_healthy, ordered

    pairs, problems = read(name, target)
    entries = [entry for _, entry in pairs]
    if number is None:
        service = drivers.find(name, target)
        running = "" if service is None or is_over(service) else service.seen.digest
        found = last_healthy(ordered(entries), but=running)
    else:
        numbered = [entry for entry in entries if entry.number == number]
        if len({entry.target for entry in numbered}) > 1:
            raise UsageError(
                f"Entry {number} of {name} is there for docker and natively.",
                fix="Say which: --target docker or native.",
            )
        found = numbered[-1] if numbered else None
    if found is not None:
        return found
    if problems and not entries:
        raise HostError(*problems)
    what = f"no entry {number}" if number is not None else "no healthy entry besides what runs"
    raise HostError(
        f"The history of {name} has {what}.",
        where=name,
        fix=f"`dsv4 history {name}` lists what there is.",
        code="absent",
    )


def _only_name() -> str:
    names = sorted({name for name, _ in read(None, None)[0]})
    if len(names) == 1:
        return names[0]
    what = (
        f"several deployments have a history here: {', '.join(names)}" if names else "no deployment has a history here"
    )
    raise UsageError(f"Which deployment? {what[0].upper()}{what[1:]}.", where="NAME", fix="`dsv4 rollback NAME [N]`.")


def _has_history(name: str) -> bool:
    return bool(read(name, None)[0])
