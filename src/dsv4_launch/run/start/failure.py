"""Why a start came to nothing, as errors: the server died, is late, or completes nothing; with what its log says."""

from __future__ import annotations

from collections.abc import Iterable

from dsv4_launch.errors import Problem, ServerError, SmokeError
from dsv4_launch.plan.explain_log import without_secrets
from dsv4_launch.plan.first_failure import first_failure
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.endpoint import Answer, Completion
from dsv4_launch.run.progress import clock_text
from dsv4_launch.run.service import Seen
from dsv4_launch.run.start.log_tail import LogTail
from dsv4_launch.values import counted

SHOWN_LINES = 20


def cannot_complete(plan: Plan, completion: Completion) -> SmokeError:
    """The error for a server that is up, lists its model, and completes nothing."""
    return SmokeError(
        Problem(
            "no-completion",
            f"{plan.name} is up but does not complete: {without_secrets(completion.detail)}.",
            f"{plan.target} {plan.name}",
            f"`dsv4 logs {plan.name}` may say why, `dsv4 diagnose {plan.name}` what is known of it.",
        )
    )


def died(plan: Plan, found: Seen | None, after_s: float, tail: LogTail, code: str = "server-died") -> ServerError:
    """The error for a server that ended before it was ready."""
    how = "its container or process is gone" if found is None else ending(found)
    why = cause(tail.last)
    if code == "crash-loop" and found is not None:
        how += f", {counted(found.restarts, 'time')} in a row"
    return ServerError(
        Problem(
            code,
            f"{plan.name} ended {clock_text(after_s)} after its launch, while {tail.stage.text}: {how}."
            f"{f'{chr(10)}It says: {why}' if why else ''}{_shown(tail.last)}",
            f"{plan.target} {plan.name}",
            f"`dsv4 logs {plan.name}` prints all of the log." if found is not None else "",
        )
    )


def late(plan: Plan, timeout_s: float, tail: LogTail, answer: Answer) -> ServerError:
    """The error for a server that is still not ready at the deadline."""
    reason = answer.detail if answer.verdict in ("other-model", "unhealthy") else ""
    return ServerError(
        Problem(
            "server-late",
            f"{plan.name} is not ready after {timeout_s:g} s; it is {tail.stage.text}"
            f"{f' ({reason})' if reason else ''}.{_shown(tail.last)}",
            f"{plan.target} {plan.name}",
            "Give it more time with --timeout SECONDS, or set start.timeout_s.",
        )
    )


def ending(found: Seen) -> str:
    """How a service ended, in words."""
    if found.out_of_memory:
        return "killed by the kernel: out of (host) memory"
    if found.error:
        return found.error
    code = found.exit_code
    if code is None:
        return "its end was not seen"
    number = -code if code < 0 else code - 128
    if number == 9:
        return "killed (SIGKILL): by hand, by a stop that ran out of patience, or by the kernel for want of memory"
    if 0 < number < 65:
        return f"ended by signal {number}"
    return f"exit code {code}"


def cause(lines: Iterable[str]) -> str:
    """The exception that the log blames first ("" if none): a traceback often ends with another one."""
    found = first_failure(lines)
    return found.said if found else ""


def _shown(lines: Iterable[str]) -> str:
    said = [without_secrets(line.rsplit("\r", 1)[-1])[:400] for line in lines if line.strip()]
    if not said:
        return " It wrote nothing to its log."
    return "\nIts last lines:\n" + "\n".join(f"  | {line}" for line in said[-SHOWN_LINES:])
