"""A plan's arguments once more, as one command line: what vLLM would refuse of them together."""

from __future__ import annotations

from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.version import nearest_release
from dsv4_launch.errors import Problem
from dsv4_launch.plan.argv.checks import check
from dsv4_launch.plan.argv.parser import parse
from dsv4_launch.plan.types import Plan

# A variable that lifts a limit: with it vLLM takes what the check refuses.
_LIFTED = {"context-within-the-model": "VLLM_ALLOW_LONG_MAX_MODEL_LEN"}


def recheck(plan: Plan) -> tuple[Problem, ...]:
    """One problem for every refusal, at the line that says the first argument that it is about.

    Nothing of a rehearsal: its release is another one, and what it leaves out is said elsewhere.
    """
    if plan.rehearsal:
        return ()
    words, of = ["model"], [-1]
    for n, argument in enumerate(plan.arguments):
        words += [word if isinstance(word, str) else "placeholder" for word in argument.argv]
        of += [n] * len(argument.argv)
    table = flag_table(nearest_release(plan.vllm, versions())[0])
    parsed = parse(words, table)
    seen = len(plan.gpus.visible) if isinstance(plan.gpus.visible, tuple) else gpus()[plan.gpus.key].gpus_per_node
    lifted = {v.name for v in plan.environment if v.value not in (None, "", "0")}
    found = []
    for refusal in (*parsed.refusals, *check(parsed, table, seen)):
        if _LIFTED.get(refusal.code) in lifted:
            continue
        about = [plan.arguments[of[at]] for at in refusal.at if of[at] >= 0]
        found.append(Problem(refusal.code, refusal.message, about[0].source if about else "", refusal.fix))
    return tuple(found)
