"""A server that passes a smoke test, over real HTTP; or has one fault, the one that a check is there to find."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dsv4_launch.run.smoke import prompts

KEY = "canary-key-93d1"
_CHAT = {"properties": {"messages": {}, "max_tokens": {}}}
_BODY = {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Chat"}}}}}}
ROUTES = {
    "paths": {"/v1/chat/completions": _BODY, "/invocations": {"post": {}}, "/v1/models": {"get": {}}},
    "components": {"schemas": {"Chat": _CHAT}},
}
ORDER = {"item": "lamp", "quantity": 3, "gift": True, "address": {"city": "Lyon", "zip": "69001", "floor": 2}}
PIECES = 4


@dataclass(frozen=True)
class Said:
    """What is answered to one request."""

    content: str = "ok"
    reasoning: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    finish: str = "stop"
    prompt_tokens: int = 20_000
    pieces: int = PIECES


@dataclass
class State:
    """The fault, by the check that must find it ("" for none), and what the metrics count."""

    fault: str = ""
    running: int = 0
    aborted: int = 0
    queries: int = 0
    hits: int = 0
    over: threading.Event = field(default_factory=threading.Event)


def good(body: Mapping[str, Any]) -> Said:
    """What a good model says."""
    asked = str(body["messages"][-1]["content"])
    thinking = (body.get("chat_template_kwargs") or {}).get("thinking")
    said = Said(reasoning="I add them." if thinking else "")
    for words, content in (
        ("17 + 25", "42"),
        ("order number", "It is A-7351"),
        ("which file", "FILE-88"),
        ("colour has", '{"colour": "blue", "bright": true}'),
        ("Count from", "1, 2, 3, 4, 5, 6, 7, 8, "),
        ("secret word", prompts.NEEDLE),
        ("exactly this", asked.rpartition(" ")[2]),
    ):
        if words in asked:
            return replace(said, content=content)
    if asked == prompts.ORDER_ASK:
        return replace(said, content="", calls=((prompts.ORDER, ORDER),), finish="tool_calls")
    if asked == prompts.WEATHER_ASK:
        calls = tuple((prompts.WEATHER, {"city": city}) for city in prompts.CITIES)
        return replace(said, content="", calls=calls, finish="tool_calls")
    if "word for word" in asked:
        calls = ((prompts.STORE, {"text": asked.partition("\n")[2]}),)
        return replace(said, content="", calls=calls, finish="tool_calls")
    return said


def spoilt(fault: str, body: Mapping[str, Any], said: Said) -> Said:
    """What a server with a fault says instead. Faults of counting and of routes are none of what is said."""
    stream, thinking = bool(body.get("stream")), (body.get("chat_template_kwargs") or {}).get("thinking")
    calls = said.calls
    match fault:
        case "chat":
            return replace(said, content="41")
        case "chat-stream" if stream:
            return replace(said, pieces=1)
        case "thinking-off" if thinking is False:
            return replace(said, reasoning="Let me think.")
        case "thinking-on" if thinking:
            return replace(said, content="", reasoning="I add them and add them", finish="length")
        case "special-tokens" if body.get("skip_special_tokens") is False:
            return replace(said, content="<｜begin▁of▁sentence｜>" * 20)
        case "tool-call" if calls:
            return replace(said, calls=((prompts.ORDER, {**ORDER, "quantity": "3"}),))
        case "tool-stream" if calls and stream:
            return replace(said, content="<｜DSML｜invoke name=")
        case "tool-turn" if body["messages"][-2]["role"] == "tool":
            return replace(said, content="I cannot know that.")
        case "tool-parallel":
            return replace(said, calls=calls[:1])
        case "tool-long" if calls:
            return replace(said, calls=((prompts.STORE, {"text": calls[0][1]["text"][:9_000]}),))
        case "json-schema":
            return replace(said, content="The sky is blue.")
        case "stop":
            return replace(said, content="1, 2, 3, 4, 5, 6, 7, 8, 9, 10")
        case "long-prompt":
            return replace(said, prompt_tokens=4_096)
        case "concurrent":
            return replace(said, content="word00")
    return said


class Handler(BaseHTTPRequestHandler):
    """Routes, key, counters."""

    protocol_version = "HTTP/1.1"
    state: State

    def do_GET(self) -> None:
        state = self.state
        counted = (
            f"vllm:num_requests_running {state.running}.0\n"
            f'vllm:request_success_total{{finished_reason="abort"}} {state.aborted}.0\n'
            f"vllm:prefix_cache_queries_total {state.queries}.0\nvllm:prefix_cache_hits_total {state.hits}.0\n"
        )
        listed = {"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 1_048_576}]}
        found = {"/v1/models": listed, "/version": {"version": "0.28.0"}, "/openapi.json": ROUTES, "/metrics": counted}
        self.send(200, found[self.path])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        keyed = self.headers.get("Authorization") == f"Bearer {KEY}"
        if not keyed and not (self.state.fault == "key" and self.path == "/invocations"):
            self.send(401, {"error": "Unauthorized"})
        elif self.path == "/tokenize":
            self.send(200, {"count": len(body["prompt"]) // 4})
        elif self.path != "/v1/chat/completions":
            self.send(400, {"error": "no messages"})
        elif self.state.fault == "think-max" and body.get("reasoning_effort"):
            self.send(400, {"error": {"message": "Input should be 'none', 'low', 'medium' or 'high'"}})
        elif body.get("ignore_eos"):
            self.endless()
        else:
            self.state.queries += 100
            self.state.hits += 0 if self.state.fault == "prefix-cache" else 64
            said = spoilt(self.state.fault, body, good(body))
            self.stream(said) if body.get("stream") else self.whole(said)

    def whole(self, said: Said) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": said.content, "reasoning": said.reasoning}
        message["tool_calls"] = [{**call, "type": "function"} for call in tool_calls(said)]
        self.send(
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
                "usage": usage(said),
            },
        )

    def stream(self, said: Said) -> None:
        text = said.content or "".join(" " for _ in range(PIECES)) * (not said.calls)
        size = max(1, -(-len(text) // said.pieces))
        deltas: list[dict[str, Any]] = [{"reasoning": said.reasoning}] if said.reasoning else []
        deltas += [{"content": text[at : at + size]} for at in range(0, len(text), size)] if said.content else []
        deltas += [{"tool_calls": [{**call, "index": n}]} for n, call in enumerate(tool_calls(said))]
        self.start()
        for delta in deltas:
            self.event({"choices": [{"index": 0, "delta": delta}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": said.finish}]})
        self.event({"choices": [], "usage": usage(said)})
        self.wfile.write(b"data: [DONE]\n\n")

    def endless(self) -> None:
        """Tokens until the client hangs up, which a faulty server does not notice."""
        self.state.running += 1
        self.start()
        try:
            while not self.state.over.wait(0.002):
                self.event({"choices": [{"index": 0, "delta": {"content": "x"}}]})
        except OSError:
            if self.state.fault != "cancel":
                self.state.running -= 1
                self.state.aborted += 1

    def start(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def event(self, data: Mapping[str, Any]) -> None:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self.wfile.write(f"data: {json.dumps({**head, **data})}\n\n".encode())
        self.wfile.flush()

    def send(self, status: int, data: object) -> None:
        body = (data if isinstance(data, str) else json.dumps(data)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(data, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def tool_calls(said: Said) -> list[dict[str, Any]]:
    """Tool calls as vLLM writes them."""
    return [
        {"id": f"c{n}", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(said.calls)
    ]


def usage(said: Said) -> dict[str, int]:
    """The counted tokens."""
    return {"prompt_tokens": said.prompt_tokens, "completion_tokens": 20, "total_tokens": said.prompt_tokens + 20}


@contextmanager
def serving(fault: str = "") -> Iterator[str]:
    """The URL of such a server."""
    state = State(fault)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
