"""`dsv4 rehearse`: the user's own config on real vLLM, on this machine's CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dsv4_launch.cli import options, show

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Notice, Plan
    from dsv4_launch.run.rehearse.rehearsal import Rehearsal

_READY_S = 600.0


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("rehearse")(rehearse)


def rehearse(
    config: options.Config = None,
    target: Annotated[
        Optional[options.TargetName],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--target", help="Where to rehearse: native (default, no root and no Docker), or docker."),
    ] = None,
    overrides: options.Overrides = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long the start may take.")
    ] = _READY_S,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running when all went well.")] = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Rehearse a config on the CPU: launch, smoke test, stop, on real vLLM with a tiny random model.

    The deployment's own flags, parsers and container options go through the very path of production; what needs a GPU
    is left out, and each difference is said. Nothing is left afterwards.

    Exit 0: it answered. 5: vLLM's CPU build is missing here, or the host fails a check. 7: the server died or was late.
    8: it answers, wrongly.

    Example: dsv4 rehearse flash-b200 --timeout 300
    """
    import os

    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.cli.serve import serving
    from dsv4_launch.run.interrupts import terminate_as_interrupt
    from dsv4_launch.run.rehearse.config import rehearsed
    from dsv4_launch.run.rehearse.rehearsal import rehearse as run
    from dsv4_launch.run.world import Options
    from dsv4_launch.targets import render

    where = target or options.TargetName.native
    plan = rehearsed(load_config(config, overrides), where.value, variables=os.environ, free_port=_free_port)
    terminate_as_interrupt()
    changes = [notice for notice in plan.notices if notice.kind == "override"]
    if output is options.Output.human:
        _announce(plan, changes)
    wanted = Options(timeout_s=timeout, on_failure="keep" if keep else "remove")
    done = run(plan, render(plan), serving.world(plan.target), wanted, serving.progress(), keep=keep)
    if output is options.Output.json:
        show.envelope("rehearse", 0, {"rehearsal": done, "changes": changes})
    else:
        _tell(done)
    return 0


def _announce(plan: Plan, changes: list[Notice]) -> None:
    show.note(f"Rehearsing as {plan.name}: vLLM {plan.vllm} on the CPU, a tiny model that talks nonsense.")
    for change in changes:
        show.note(f"  {change.subject}  ({change.why})")


def _tell(done: Rehearsal) -> None:
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.phases_s.items())
    said = show.clean(done.completion.text).replace("\n", " ")
    show.say(f"endpoint:    {done.base_url}/v1")
    show.say(f"model:       {', '.join(done.models)}")
    show.say(f"completion:  {said!r} ({done.completion.tokens} tokens in {done.completion.completion_s:.2f} s)")
    show.say(f"took:        {phases}")
    show.say(f"`dsv4 stop {done.name}` ends it." if done.kept else "It answered, and has been stopped again.")


def _free_port(host: str, wanted: int) -> int:
    """The wanted port, or any other one when somebody listens there."""
    import socket

    from dsv4_launch.host.ports import read_port

    if read_port(host, wanted).free:
        return wanted
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
