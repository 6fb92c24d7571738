"""Ask the real vLLM about a plan: its parser, serve arguments and engine configuration, on simulated GPUs.

`dsv4_launch.deep.judge` runs beside vLLM, in an environment of this host or in a container without network. It is
asked about the command line and about the same one without each of its arguments: what vLLM takes once an argument is
left out, was refused for that argument.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dsv4_launch.deep
from dsv4_launch.catalog.flags import versions
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.version import nearest_release
from dsv4_launch.deep.figures import write_figures
from dsv4_launch.errors import HostError, ImpossibleError, InputError, Problem, ToolError
from dsv4_launch.plan.types import Argument, Plan
from dsv4_launch.values import listed

LIMIT_S = 600.0  # importing vLLM takes 10 s on an idle machine, minutes on a busy one
_MODEL = "/dsv4/model"
_JUDGE = "/dsv4/judge.py"
_TAIL = 6
_WRITTEN = "the config says so"


@dataclass(frozen=True, slots=True)
class Where:
    """The vLLM to ask: a Python that has it, or an image."""

    python: str = ""
    image: str = ""

    def __str__(self) -> str:
        return self.image or self.python


@dataclass(frozen=True, slots=True)
class DeepVerdict:
    """What the real vLLM said. ``decided`` is what it settled by itself, when it took the arguments."""

    asked: str
    vllm: str
    ok: bool
    stage: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or that of the failure: words that vLLM cannot read, or arguments that cannot be."""
        if self.ok:
            return 0
        return InputError.exit_code if self.stage == "parse" else ImpossibleError.exit_code


def find_python(given: str) -> str:
    """The interpreter of an environment folder, or the path that was given. Raises HostError when it is not there."""
    path = Path(given).expanduser()
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise HostError(
            "There is no Python to ask vLLM with.",
            where=str(python),
            fix="Name an environment that has vLLM with --python, or an image with --image; "
            "scripts/vllm_cpu_env.py makes a small one.",
            code="no-vllm-to-ask",
        )
    return str(python)


def deep_check(plan: Plan, where: Where, environ: Mapping[str, str], file: str = "") -> DeepVerdict:
    """What vLLM says of a plan, pointed at the lines of its config ``file``.

    Raises InputError for a plan without GPUs (a rehearsal runs for real), ToolError when vLLM could not be asked.
    """
    if plan.rehearsal:
        raise InputError(
            f"{plan.name} uses no GPU; there is nothing to simulate.",
            where=plan.name,
            fix="`dsv4 rehearse` runs it for real.",
            code="deep-without-gpu",
        )
    words = [argument.argv for argument in plan.arguments]
    lines = {"all": plain([plan.model.repo or plan.name, *(word for part in words for word in part)])}
    for n in range(len(words)):
        others = [word for m, part in enumerate(words) if m != n for word in part]
        lines[str(n)] = plain([plan.model.repo or plan.name, *others])
    with tempfile.TemporaryDirectory(prefix="dsv4-deep-") as folder:
        model = write_figures(Path(folder) / "model")
        request = {
            "gpu": simulated(plan),
            "model": _MODEL if where.image else str(model),
            "warm": [lines["all"]],
            "commands": [{"id": name, "words": line} for name, line in lines.items()],
        }
        settings = {v.name: v.value for v in plan.environment if isinstance(v.value, str) and v.name[:5] == "VLLM_"}
        head, answers = ask(where, request, model, settings, environ)
    return verdict(plan, where, head, answers, file or plan.name)


def plain(words: Sequence[Any]) -> list[str]:
    """Command words as text; of a placeholder only its shape matters here."""
    return [word if isinstance(word, str) else "/placeholder" for word in words]


def simulated(plan: Plan) -> dict[str, Any]:
    """The GPUs that the plan's server would see."""
    gpu = gpus()[plan.gpus.key]
    seen = plan.gpus.visible
    count = len(seen) if isinstance(seen, tuple) else (gpu.gpus_per_node or plan.gpus.count)
    capability = [int(part) for part in plan.gpus.compute_capability.split(".")]
    return {"name": gpu.names[0], "capability": capability, "memory_mib": gpu.memory_mib, "count": count}


def ask(
    where: Where, request: Mapping[str, Any], model: Path, settings: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The judge's first line, and its answers by id. Raises ToolError."""
    judge = Path(dsv4_launch.deep.__file__).parent / "judge.py"
    name = f"dsv4-deep-{os.getpid()}-{time.monotonic_ns() % 10**9}"
    if where.image:
        command, env = container_command(where.image, judge, model, settings, name), dict(environ)
    else:
        command = [where.python, str(judge)]
        kept = {k: v for k, v in environ.items() if not k.startswith(("VLLM_", "HF_", "PYTHON"))}
        env = kept | dict(settings)
    try:
        done = subprocess.run(
            command, input=json.dumps(request), env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except FileNotFoundError:
        raise ToolError(f"{command[0]} is not installed.", where=str(where), code="no-vllm-to-ask") from None
    except BaseException as error:
        # The client is gone; its container would go on.
        if where.image:
            subprocess.run(["docker", "rm", "--force", name], env=env, capture_output=True, check=False)
        if isinstance(error, subprocess.TimeoutExpired):
            said = f"vLLM did not answer within {LIMIT_S:.0f} s."
            raise ToolError(said, where=str(where), code="deep-slow") from None
        raise
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(answers) != len(request["commands"]) + 1:
        last = "; ".join(line.strip() for line in done.stderr.strip().splitlines()[-_TAIL:]) or "it said nothing"
        raise ToolError(
            f"vLLM could not be asked: {last}",
            where=str(where),
            fix="Is vLLM installed there? `python -c 'import vllm'` must work.",
            code="deep-failed",
        )
    return answers[0], {answer["id"]: answer for answer in answers[1:]}


def container_command(image: str, judge: Path, model: Path, settings: Mapping[str, str], name: str) -> list[str]:
    """A container that only judges: no network, no GPU, nothing written; what it needs is mounted read-only."""
    words = ["docker", "run", "--rm", "--interactive", "--name", name, "--network", "none", "--entrypoint", "python3"]
    words += ["--volume", f"{judge}:{_JUDGE}:ro", "--volume", f"{model}:{_MODEL}:ro"]
    words += [word for name, value in sorted(settings.items()) for word in ("--env", f"{name}={value}")]
    return [*words, image, _JUDGE]


def verdict(
    plan: Plan, where: Where, head: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]], file: str
) -> DeepVerdict:
    """The answers as a verdict on the plan's own arguments. Raises ToolError when vLLM could not judge them."""
    whole = answers["all"]
    asked, version = str(where), str(head["vllm"])
    warnings = _other_release(plan, version, asked)
    if whole["ok"] is None:
        raise ToolError(
            f"vLLM could not judge {plan.name}: {last_line(whole['said'])}", where=asked, code="deep-unjudged"
        )
    if whole["ok"]:
        return DeepVerdict(asked, version, True, whole["stage"], (), warnings, whole.get("facts", {}))
    said = f"vLLM {version.split('+')[0]} refuses this ({whole['stage']}): {shortened(whole['said'])}"
    blamed = blame(plan.arguments, whole, answers)
    places = [place for place in (_place(a, file) for a in blamed) if place != file] or [file]
    names = [a.name if a.why == _WRITTEN else f"{a.name} (there because {a.why})" for a in blamed]
    fix = f"It takes the rest without {listed(names)}." if names else ""
    return DeepVerdict(
        asked, version, False, whole["stage"], (Problem("deep-refused", said, places[0], fix),), warnings
    )


def _place(argument: Argument, file: str) -> str:
    """The line of the config that says it; the config itself for what a rule says."""
    return argument.source if argument.source.startswith((file, "--set")) else file


def blame(
    arguments: Sequence[Argument], whole: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]
) -> list[Argument]:
    """The arguments without which vLLM no longer says this; those that its message names come first."""

    def gone(n: int) -> bool:
        answer = answers[str(n)]
        return bool(answer["ok"]) or answer.get("said") != whole.get("said")

    text = str(whole.get("said", "")).replace("-", "_")
    found = [argument for n, argument in enumerate(arguments) if gone(n)]
    return sorted(found, key=lambda a: re.search(rf"\b{re.escape(a.name.split('.')[0])}\b", text) is None)


def shortened(said: str) -> str:
    """vLLM's words without pydantic's frame around them."""
    text = re.sub(r"\[type=.*?(?:\n|$)|For further information visit \S+", "", said)
    text = re.sub(r"^\d+ validation errors? for (\w+)", r"\1:", text)
    text = " ".join(text.replace("Value error, ", "").replace("Assertion failed, ", "").split())
    return text if len(text) <= 400 else text[:397] + "…"


def last_line(said: str) -> str:
    """The last line of what was said; tracebacks end in their cause."""
    return (said.strip().splitlines() or ["it said nothing"])[-1].strip()


def _other_release(plan: Plan, version: str, asked: str) -> tuple[Problem, ...]:
    wanted, _ = nearest_release(plan.vllm, versions())
    if nearest_release(version.split("+")[0], versions())[0] == wanted:
        return ()
    text = f"vLLM {version} was asked, and the config is for {plan.vllm}: flags and limits may differ."
    return (Problem("deep-other-release", text, asked, "Ask an environment or image of that release."),)
