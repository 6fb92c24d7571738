"""The name of a deployment: who has it, whether it is free, and giving it back."""

from __future__ import annotations

from collections.abc import Callable

from dsv4_launch.errors import HostError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.endpoint import ask
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.service import Driver, Seen, must_be_ours
from dsv4_launch.run.start.failure import ending
from dsv4_launch.run.world import Outcome, World, api_key

STOP_S = 30.0


def already(plan: Plan, digest: str, world: World, progress: Progress) -> Outcome | None:
    """The outcome when this very plan runs and is ready; None when the name is free (or can be freed).

    Raises HostError when the name is taken: by another plan, by a start under way, by what dsv4 did not make.
    """
    try:
        found = world.driver.find(plan.name)
    except HostError as error:
        if error.problems[0].code.startswith("engine-"):
            return None  # the checks say it better
        raise
    if found is None:
        return None
    must_be_ours(found)
    if over(found):
        progress.say(f"Replacing the finished {plan.name} ({'stopped' if found.stopped else ending(found)})")
        return None
    # Of what is being launched it may not be told yet which plan it is.
    if found.digest != digest and found.life != "created":
        raise HostError(
            f"{plan.name} runs already, with another config or by another version of dsv4{_by(found)}.",
            where=f"{found.target} {plan.name}",
            fix=f"`dsv4 stop {plan.name}` first; `dsv4 show {plan.name}` prints what runs.",
            code="other-plan-runs",
        )
    answer = ask(plan.base_url, plan.served_model_names, api_key(plan, world.environ))
    if answer.up:
        return Outcome("already-ready", plan.name, plan.target, plan.base_url, answer.models, digest)
    raise HostError(
        f"{plan.name} is there already and not ready: it starts, or hangs{_by(found)}.",
        where=f"{found.target} {plan.name}",
        fix=f"`dsv4 status {plan.name}` says how far it is; `dsv4 stop {plan.name}` ends it.",
        code="name-taken",
    )


def stop(
    driver: Driver, name: str, timeout_s: float | None = None, before_removal: Callable[[], object] = lambda: None
) -> Seen | None:
    """Stop and forget a service; returns what it was, None when there was none. Raises HostError for a foreign one.

    ``before_removal`` is called when it has ended and its log is whole. ``timeout_s``: from the request to the kill; as
    it was launched if not given, so that its requests can finish.
    """
    found = driver.find(name)
    if found is None:
        return None
    must_be_ours(found)
    if found.life != "exited":
        driver.stop(name, patience_s(found) if timeout_s is None else timeout_s)
    before_removal()
    driver.remove(name)
    return found


def patience_s(found: Seen) -> float:
    """Seconds that this service has from the request to stop to the kill."""
    return float(found.stop_timeout_s or STOP_S)


def over(found: Seen) -> bool:
    """True for a service that has ended, or was created and could not start."""
    return found.life == "exited" or (found.life == "created" and bool(found.error))


def _by(found: Seen) -> str:
    return f" (launched by {found.user}, {found.created[:16]}Z)" if found.user else ""
