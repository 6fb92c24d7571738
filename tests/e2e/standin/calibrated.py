#!/usr/bin/python3
"""A calibrated streaming server: the truth that a load generator is measured against. Standard library only.

It answers the OpenAI completion and chat completion APIs as a stream whose tokens come at fixed times: the first one
TTFT after the request was read, each next one ITL later. The schedule is absolute: a token that is sent late does not
delay the next one. What it sent late itself is counted, so that a wrong figure is not blamed on the client.

  calibrated.py --port N --ttft-ms 200 --itl-ms 20

  --slots N        so many requests run at once, the others wait (0: all of them run)
  --itl-load X     each running request makes the ITL of those that start longer by this share, as a real server does
  --key KEY        /v1 wants the bearer
  --fail-every N   each N-th request is answered with HTTP 500
  --die-after N    the process ends, streams cut, at its N-th completion
  --model NAME     the served name, "calibrated" by default
  --version TEXT   what /version says
  --reason TEXT    what it says of a request that fails
Port 0 takes any free one. "listening on PORT" is its first line. GET /truth tells what it did.
"""

import argparse
import asyncio
import contextlib
import http
import json
import os
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(body: dict) -> bytes:
    return chunk(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


class Histogram:
    """A Prometheus histogram."""

    def __init__(self) -> None:
        self.counts, self.total, self.number = [0] * len(BUCKETS), 0.0, 0

    def add(self, value: float) -> None:
        self.total, self.number = self.total + value, self.number + 1
        for place, edge in enumerate(BUCKETS):
            if value <= edge:
                self.counts[place] += 1

    def text(self, name: str, labels: str) -> str:
        rows = [f'{name}_bucket{{{labels},le="{edge}"}} {n}' for edge, n in zip(BUCKETS, self.counts, strict=True)]
        rows += [f'{name}_bucket{{{labels},le="+Inf"}} {self.number}', f"{name}_sum{{{labels}}} {self.total}"]
        return "\n".join([f"# TYPE {name} histogram", *rows, f"{name}_count{{{labels}}} {self.number}", ""])


class Server:
    """What all connections share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.model = options, options.model
        self.running, self.waiting = 0, []
        self.started = self.completed = self.failed = self.cut = self.tokens = self.prompt_tokens = self.peak = 0
        self.late_s, self.late_max_s = 0.0, 0.0
        self.ttft, self.itl, self.e2e, self.queue = Histogram(), Histogram(), Histogram(), Histogram()

    def admit(self, stream: "Stream") -> None:
        if self.options.slots and self.running >= self.options.slots:
            self.waiting.append(stream)
            return
        self.running += 1
        self.peak = max(self.peak, self.running)
        stream.start()

    def leave(self) -> None:
        self.running -= 1
        while self.waiting and self.running < self.options.slots:
            self.admit(self.waiting.pop(0))

    def metrics(self) -> str:
        labels = f'engine="0",model_name="{self.model}"'
        slots = self.options.slots or 1024
        rows = [
            ("num_requests_running", "gauge", self.running),
            ("num_requests_waiting", "gauge", len(self.waiting)),
            ("kv_cache_usage_perc", "gauge", min(1.0, self.running / slots)),
            ("num_preemptions_total", "counter", 0),
            ("prefix_cache_queries_total", "counter", self.prompt_tokens),
            ("prefix_cache_hits_total", "counter", 0),
            ("prompt_tokens_total", "counter", self.prompt_tokens),
            ("generation_tokens_total", "counter", self.tokens),
        ]
        text = "".join(
            f"# TYPE vllm:{n.removesuffix('_total')} {kind}\nvllm:{n}{{{labels}}} {float(v)}\n" for n, kind, v in rows
        )
        text += f'# TYPE vllm:request_success counter\nvllm:request_success_total{{{labels},finished_reason="length"}} '
        text += f"{float(self.completed)}\n"
        return text + "".join(
            histogram.text(f"vllm:{name}", labels)
            for name, histogram in (
                ("time_to_first_token_seconds", self.ttft),
                ("inter_token_latency_seconds", self.itl),
                ("e2e_request_latency_seconds", self.e2e),
                ("request_queue_time_seconds", self.queue),
            )
        )

    def truth(self) -> dict:
        return {
            "ttft_ms": self.options.ttft_ms,
            "itl_ms": self.options.itl_ms,
            "started": self.started,
            "completed": self.completed,
            "failed": self.failed,
            "cut": self.cut,
            "tokens": self.tokens,
            "peak": self.peak,
            "late_mean_ms": 1000 * self.late_s / max(1, self.tokens),
            "late_max_ms": 1000 * self.late_max_s,
        }


class Stream:
    """One request that is answered."""

    def __init__(self, connection: "Connection", body: dict, chat: bool) -> None:
        self.connection, self.server, self.chat = connection, connection.server, chat
        self.read_s = time.monotonic()
        self.wanted = int(body.get("max_completion_tokens") or body.get("max_tokens") or 16)
        self.sent = 0
        self.first_s = self.itl_s = self.sent_s = 0.0
        name, part = ("chat.completion.chunk", {"delta": {"content": " tok"}}) if chat else ("text_completion", {})
        frame = {"id": "c", "object": name, "created": 0, "model": self.server.model}
        self.role = event({**frame, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        self.token = event({**frame, "choices": [{"index": 0, "finish_reason": None, "text": " tok", **part}]})
        last = {"index": 0, "finish_reason": "length", "text": " tok", **part}
        self.last = event({**frame, "choices": [last]})
        self.usage = event({**frame, "choices": [], "usage": {"completion_tokens": self.wanted}})

    def start(self) -> None:
        options, loop = self.server.options, asyncio.get_running_loop()
        now = time.monotonic()
        self.server.queue.add(now - self.read_s)
        self.itl_s = options.itl_ms / 1000 * (1 + options.itl_load * (self.server.running - 1))
        self.first_s = now + options.ttft_ms / 1000
        loop.call_at(self.first_s, self.tick)

    def tick(self) -> None:
        server, now = self.server, time.monotonic()
        late = now - (self.first_s + self.sent * self.itl_s)
        server.late_s, server.late_max_s = server.late_s + late, max(server.late_max_s, late)
        if self.connection.gone:
            server.cut += 1
            server.leave()
            return
        write = self.connection.transport.write
        if self.sent == 0:
            server.ttft.add(now - self.read_s)
            write(HEAD + self.role + self.token if self.chat else HEAD + self.token)
        else:
            server.itl.add(now - self.sent_s)
            write(self.token if self.sent < self.wanted - 1 else self.last)
        self.sent, self.sent_s, server.tokens = self.sent + 1, now, server.tokens + 1
        if self.sent < self.wanted:
            asyncio.get_running_loop().call_at(self.first_s + self.sent * self.itl_s, self.tick)
            return
        write(self.usage + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        server.e2e.add(now - self.read_s)
        server.completed += 1
        if server.options.die_after and server.completed >= server.options.die_after:
            os._exit(1)
        server.leave()
        self.connection.next()


class Connection(asyncio.Protocol):
    """One keep-alive HTTP connection."""

    def __init__(self, server: Server) -> None:
        self.server, self.buffer, self.gone, self.busy = server, b"", False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.take()

    def next(self) -> None:
        self.busy = False
        self.take()

    def take(self) -> None:
        if self.busy or b"\r\n\r\n" not in self.buffer:
            return
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length") or 0)
        if len(rest) < length:
            return
        self.buffer, self.busy = rest[length:], True
        method, path, _ = lines[0].split(" ", 2)
        self.answer(method, path.partition("?")[0], headers, rest[:length])

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        server = self.server
        key = server.options.key
        if path.startswith("/v1") and key and headers.get("authorization") != f"Bearer {key}":
            self.reply(401, {"error": "Unauthorized"})
        elif path == "/health":
            self.reply(200, {})
        elif path == "/version":
            self.reply(200, {"version": server.options.version})
        elif path == "/v1/models":
            entry = {"id": server.model, "object": "model", "owned_by": "vllm", "max_model_len": 1_048_576}
            self.reply(200, {"object": "list", "data": [entry]})
        elif path == "/metrics":
            self.reply(200, server.metrics(), "text/plain; version=0.0.4")
        elif path == "/truth":
            self.reply(200, server.truth())
        elif method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
            self.generate(json.loads(body), path.endswith("/chat/completions"))
        else:
            self.reply(404, {"detail": "Not Found"})

    def generate(self, body: dict, chat: bool) -> None:
        server = self.server
        server.started += 1
        if body.get("model") not in (None, server.model):
            message = f"The model `{body['model']}` does not exist."
            self.reply(404, {"error": {"message": message, "type": "NotFoundError", "code": 404}})
        elif server.options.fail_every and server.started % server.options.fail_every == 0:
            server.failed += 1
            self.reply(500, {"error": {"message": f"asked to fail: {server.options.reason}", "code": 500}})
        else:
            text = body.get("prompt") or "".join(str(m.get("content")) for m in body.get("messages") or ())
            server.prompt_tokens += len(text) // 4
            if not body.get("stream"):
                asyncio.get_running_loop().call_later(server.options.ttft_ms / 1000, self.whole, body)
                return
            server.admit(Stream(self, body, chat))

    def whole(self, body: dict) -> None:
        """An answer in one piece, as a check of readiness asks for it."""
        tokens = int(body.get("max_tokens") or 1)
        choice = {"index": 0, "finish_reason": "length", "text": " tok" * tokens}
        choice["message"] = {"role": "assistant", "content": " tok" * tokens}
        self.reply(200, {"id": "c", "choices": [choice], "usage": {"completion_tokens": tokens}})

    def reply(self, status: int, body: object, kind: str = "application/json") -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        reason = self.server.options.reason if status == 500 else http.HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        self.transport.write(head.encode() + data)
        self.next()


async def serve(options: argparse.Namespace) -> None:
    server = Server(options)
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), options.host, options.port, backlog=4096
    )
    print(f"listening on {listening.sockets[0].getsockname()[1]}", flush=True)
    print("INFO:     Application startup complete.", flush=True)  # what whoever follows a start waits for
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="calibrated")
    parser.add_argument("--version", default="0.0.0+calibrated")
    parser.add_argument("--reason", default="Internal Server Error")
    parser.add_argument("--key", default="")
    for name in ("--ttft-ms", "--itl-ms", "--itl-load"):
        parser.add_argument(name, type=float, default={"--ttft-ms": 200.0, "--itl-ms": 20.0}.get(name, 0.0))
    for name in ("--slots", "--fail-every", "--die-after"):
        parser.add_argument(name, type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
