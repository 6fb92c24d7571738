"""What a smoke test asks: the bodies of its requests, as plain data. Temperature 0: two tests ask the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Body = dict[str, Any]

SUM, SUM_ANSWER = "What is 17 + 25? Answer with the number only.", "42"
STORY = "Describe in about a hundred words how a lighthouse works."
COUNT, COUNT_STOPS, COUNT_SEEN = "Count from 1 to 20, separated by commas.", ("9", "11"), ("7",)
# Random text soon holds one of these.
RANDOM_STOPS: Final = ("e", "a", "1", " ")
NEEDLE: Final = "zinnober"
LONG_CHARACTERS: Final = 20_000
_SENTENCE = "The keeper of the lighthouse notes the weather, the tide and the ships that pass. "

ORDER: Final = "place_order"
ORDER_TYPES: Final[Mapping[str, Any]] = {
    "item": str,
    "quantity": int,
    "gift": bool,
    "address": {"city": str, "zip": str, "floor": int},
}
ORDER_ASK = (
    "Use the tool to order 3 blue lamps as a gift, to floor 2 of a house in Lyon with the zip code 69001. "
    "Call it once, now, without asking back."
)
CITIES: Final = ("Paris", "Tokyo")
WEATHER: Final = "get_weather"
WEATHER_ASK = "What is the weather in Paris and in Tokyo just now? Call the tool for both cities in one go."
STORE: Final = "store_text"
JSON_TYPES: Final[Mapping[str, Any]] = {"colour": str, "bright": bool}


def ask(model: str, text: str, max_tokens: int, *, thinking: bool | None = None, **more: Any) -> Body:
    """One user message."""
    return talk(model, [{"role": "user", "content": text}], max_tokens, thinking=thinking, **more)


def talk(
    model: str, messages: Sequence[Mapping[str, Any]], max_tokens: int, *, thinking: bool | None = None, **more: Any
) -> Body:
    """A whole conversation. ``thinking`` goes to the chat template; None leaves the server's default."""
    body: Body = {"model": model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0, **more}
    if thinking is not None:
        body["chat_template_kwargs"] = {"thinking": thinking}
    return body


def order_tools() -> list[Body]:
    """A tool with an argument of each type."""
    address = _object({"city": {"type": "string"}, "zip": {"type": "string"}, "floor": {"type": "integer"}})
    properties = {
        "item": {"type": "string"},
        "quantity": {"type": "integer"},
        "gift": {"type": "boolean"},
        "address": address,
    }
    return [_tool(ORDER, "Order goods.", properties)]


def weather_tools() -> list[Body]:
    """A tool that is called once a city."""
    return [_tool(WEATHER, "Tell the weather of one city.", {"city": {"type": "string"}})]


def store_tools() -> list[Body]:
    """A tool whose argument is a long text."""
    return [_tool(STORE, "Store a text, word for word.", {"text": {"type": "string"}})]


def long_text(characters: int) -> str:
    """Numbered sentences, so that none is like another."""
    parts, size, number = [], 0, 0
    while size < characters:
        part = f"Note {number}: {_SENTENCE}"
        parts.append(part)
        size, number = size + len(part), number + 1
    return "".join(parts)[:characters]


def haystack(characters: int) -> str:
    """A long prompt with a word in its middle that is asked for at its end."""
    text = long_text(characters)
    half = len(text) // 2
    return f"{text[:half]} The secret word is {NEEDLE}. {text[half:]}\nWhich secret word stands in the text above?"


def second_turn(name: str, arguments: str, asked: str, told: str) -> list[Body]:
    """A conversation in which the model called a tool, which has answered."""
    call = {"id": "call_smoke_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_smoke_1", "content": told},
    ]


def json_format() -> Body:
    """A response format that only a few texts fit."""
    schema = _object({"colour": {"type": "string", "enum": ["red", "green", "blue"]}, "bright": {"type": "boolean"}})
    return {"type": "json_schema", "json_schema": {"name": "lamp", "schema": schema}}


def _tool(name: str, what: str, properties: Mapping[str, Any]) -> Body:
    return {"type": "function", "function": {"name": name, "description": what, "parameters": _object(properties)}}


def _object(properties: Mapping[str, Any]) -> Body:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
