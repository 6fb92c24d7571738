"""The checks of a smoke test, in the order in which they run."""

from __future__ import annotations

from dsv4_launch.run.smoke import load, talk, tools
from dsv4_launch.run.smoke.subject import Check

CHECKS: tuple[Check, ...] = (
    Check("chat", "a chat completion", talk.chat),
    Check("chat-stream", "a streamed chat completion", talk.chat_stream),
    Check("thinking-off", "thinking switched off, whole and streamed", talk.thinks(False)),
    Check("thinking-on", "thinking switched on, whole and streamed: the content is not empty", talk.thinks(True)),
    Check("think-max", "Think Max (reasoning_effort: max)", talk.think_max, context=talk.THINK_MAX_CONTEXT),
    Check("special-tokens", "no repeated and no begin-of-sequence tokens", talk.special_tokens),
    Check("tool-call", "a tool call with typed arguments", tools.call(stream=False)),
    Check("tool-stream", "a streamed tool call, thinking or not: no markup in the content", tools.call(stream=True)),
    Check("tool-turn", "the turn after a tool call", tools.second_turn),
    Check("tool-parallel", "two tool calls in one answer, whole and streamed", tools.parallel),
    Check("tool-long", "a tool argument of 20 kB, and the turn after it", tools.long_string, context=24_576),
    Check("json-schema", "output that follows a JSON schema", talk.json),
    Check("stop", "stop sequences", talk.stop),
    Check("long-prompt", "a long prompt", load.long_prompt, context=2_048),
    Check("prefix-cache", "a repeated prompt comes from the prefix cache", load.prefix_cache, context=2_048),
    Check("concurrent", f"{load.CONCURRENT} requests at once", load.many),
    Check("cancel", "a client that hangs up frees its request", load.cancel, context=1_024),
    Check("key", "nothing is generated without the API key", load.key),
)
