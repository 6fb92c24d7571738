"""`dsv4 doctor --wait fabric`: after a boot, until the GPUs of a deployment and their NVLink fabric are ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsv4_launch.cli import options, show
from dsv4_launch.errors import HostError
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.plan.types import PlannedGpus

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0
# CUDA works when NVML tells one of these; on hosts without NVSwitch there is no fabric.
READY = ("completed", "not supported")


def wait(wanted: tuple[str | None, Sequence[str] | None, str | None], timeout_s: float, output: options.Output) -> int:
    """Wait, at most so long. Raises HostError with what was still missing."""
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve

    plan = resolve(load_config(*wanted))
    started_s = time.monotonic()
    said_s = 0.0
    while missing := _missing(plan.gpus):
        waited_s = time.monotonic() - started_s
        if waited_s >= timeout_s:
            raise HostError(
                f"The GPUs are not ready after {timeout_s:g} s: {missing}.",
                where=plan.name,
                fix="`dsv4 doctor` says why; see also `systemctl status nvidia-fabricmanager`.",
                code="fabric-not-ready",
            )
        if not said_s or time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            show.note(show.clean(f"Waiting for the GPUs: {missing}"))
        time.sleep(min(LOOK_EVERY_S, timeout_s - waited_s))
    waited_s = round(time.monotonic() - started_s, 1)
    if output is options.Output.json:
        show.envelope("doctor", 0, {"name": plan.name, "ready": "fabric", "waited_s": waited_s})
    else:
        show.say(f"The GPUs of {plan.name} are ready (waited {waited_s:g} s).")
    return 0


def _missing(gpus: PlannedGpus) -> str:
    """What is not ready yet ("" for nothing): driver, GPUs, or the fabric of some."""
    from dsv4_launch.host.looking import CouldNotLook
    from dsv4_launch.host.nvml_now import Nvml

    if not gpus.count:
        return ""
    try:
        with Nvml() as nvml:
            count = nvml.count()
            listed = gpus.visible if isinstance(gpus.visible, tuple) else range(gpus.count)
            if count <= max(listed, default=-1):
                return f"{count} of {counted(gpus.count, 'GPU')} are there"
            # A fabric is set up as a whole: with GPUs that are chosen later, all of them count.
            states = nvml.fabric(listed if isinstance(gpus.visible, tuple) else range(count))
    except CouldNotLook as error:
        return str(error)
    late = [found for found in states if found.state not in READY]
    return "; ".join(f"the fabric of GPU {found.index} is {found.state or 'unknown'}" for found in late[:8])
