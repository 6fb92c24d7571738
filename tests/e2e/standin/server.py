#!/usr/bin/python3
"""A stand-in for `vllm serve`: takes its arguments, prints start-up lines like its own, answers its HTTP API.

It is the entry point of the image dsv4-standin, for tests of a container's life that need no model: a slow start,
a crash, a hang, a server that ignores SIGTERM. Standard library only; it runs as process 1 of the container.

Steered by environment variables (seconds may be fractions):
  STANDIN_READY_AFTER_S  seconds until it listens, 0.5 by default; like vLLM it refuses connections before
  STANDIN_READY_FILE     it listens only once this file is there: a test decides when, not a clock
  STANDIN_CRASH_AFTER_S  seconds after which the process ends, ready or not
  STANDIN_EXIT_CODE      its exit code then, 1 by default
  STANDIN_LAST_LINES     what it prints to stderr then, "\\n" between lines; vLLM's engine failure by default
  STANDIN_HANG           1: it never becomes ready
  STANDIN_HANG_AFTER_S   seconds after which it accepts requests but answers none
  STANDIN_UNHEALTHY_AFTER_S  seconds after which /health answers 503, as vLLM does when its engine is dead
  STANDIN_LOG_LINES      so many more log lines during start-up
  STANDIN_IGNORE_TERM    1: SIGTERM is ignored, only SIGKILL ends it
  STANDIN_STALL_FILE     while this file is there, requests run and bring no token: the hang that /health does not see
  STANDIN_CRASH_FILE     it crashes as soon as this file is there; with STANDIN_CRASH_ONCE=1 the file is removed then
  STANDIN_REPLY          what it answers, "A stand-in answers." by default
Any flag whose name contains "bogus" is refused as vLLM's parser refuses an unknown one. With --api-key or
VLLM_API_KEY, /v1 wants the bearer. GET /standin tells argv and the names (not the values) of the environment.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

START_S = time.monotonic()
ENGINE_FAILED = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
)
STAGES = (
    "[api_utils.py:347]    ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀  version stand-in",
    "[model.py:733] Resolved architecture: DeepseekV4ForCausalLM",
    "[model.py:2152] Using max model len 8192",
    "[core.py:133] Initializing a V1 LLM engine (v0.0.0) with config: stand-in",
    "[gpu_model_runner.py:68] Starting to load model stand-in...",
    "[default_loader.py:501] Loading weights took 0.01 seconds",
    "[gpu_model_runner.py:87] Warming up model for the compilation...",
    "[core.py:402] init engine (profile, create kv cache, warmup model) took 0.01 s",
)


def seconds(name: str) -> float | None:
    value = os.environ.get(name, "")
    return float(value) if value else None


def past(name: str) -> bool:
    limit = seconds(name)
    return limit is not None and time.monotonic() - START_S >= limit


def log(line: str, pid_name: str = "APIServer") -> None:
    print(f"({pid_name} pid={os.getpid()}) INFO {time.strftime('%m-%d %H:%M:%S')} {line}", flush=True)


def parse(argv: list[str]) -> dict[str, str]:
    """vLLM's argv as names and values: underscores as dashes, `--a=b`, `--a b`, and a lone `--a`."""
    flags: dict[str, str] = {}
    words = argv[1:] if argv[:1] == ["serve"] else list(argv)
    if words and not words[0].startswith("-"):
        flags["model"] = words[0]
    for place, word in enumerate(words):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if "bogus" in name:
                sys.stderr.write(
                    f"usage: vllm serve [model_tag] [options]\nvllm: error: unrecognized arguments: {word}\n"
                )
                sys.exit(2)
            following = words[place + 1] if place + 1 < len(words) else "--"
            flags[name.replace("_", "-")] = value if equals else "" if following.startswith("--") else following
    return flags


def crash_later() -> None:
    def crash() -> None:
        lines = os.environ.get("STANDIN_LAST_LINES") or ENGINE_FAILED
        sys.stderr.write(lines.replace("\\n", "\n") + "\n")
        sys.stderr.flush()
        os._exit(int(os.environ.get("STANDIN_EXIT_CODE") or 1))

    after = seconds("STANDIN_CRASH_AFTER_S")
    if after is not None:
        timer = threading.Timer(after, crash)
        timer.daemon = True
        timer.start()


def crash_on_file() -> None:
    """Wait for the file that makes it crash: a test decides when, not a clock."""
    path = os.environ.get("STANDIN_CRASH_FILE", "")

    def wait() -> None:
        while not Path(path).exists():
            time.sleep(0.05)
        if os.environ.get("STANDIN_CRASH_ONCE") == "1":
            Path(path).unlink()
        sys.stderr.write((os.environ.get("STANDIN_LAST_LINES") or ENGINE_FAILED).replace("\\n", "\n") + "\n")
        sys.stderr.flush()
        os._exit(int(os.environ.get("STANDIN_EXIT_CODE") or 1))

    if path:
        threading.Thread(target=wait, daemon=True).start()


class Counters:
    """What /metrics tells, in vLLM's names: every completion is three prompt and four generated tokens."""

    lock = threading.Lock()
    finished = 0

    @classmethod
    def text(cls, model: str) -> str:
        label = f'engine="0",model_name="{model}"'
        stalled = Path(os.environ.get("STANDIN_STALL_FILE") or "/nowhere").exists()
        gauges = {"num_requests_running": stalled, "num_requests_waiting": 0, "kv_cache_usage_perc": 0.25}
        counters = {"prompt_tokens": 3, "generation_tokens": 4, "prefix_cache_queries": 3, "prefix_cache_hits": 1}
        lines = []
        for name, value in gauges.items():
            lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{label}}} {float(value)}"]
        for name, each in counters.items():
            lines += [f"# TYPE vllm:{name}_total counter", f"vllm:{name}_total{{{label}}} {float(each * cls.finished)}"]
        lines += ["# TYPE vllm:num_preemptions_total counter", f"vllm:num_preemptions_total{{{label}}} 0.0"]
        lines.append("# TYPE vllm:request_success_total counter")
        lines.append(f'vllm:request_success_total{{{label},finished_reason="stop"}} {float(cls.finished)}')
        for name, bounds in (
            ("time_to_first_token_seconds", (0.1, 0.2)),
            ("inter_token_latency_seconds", (0.01, 0.02)),
        ):
            count = cls.finished * (1 if "first" in name else 3)
            lines.append(f"# TYPE vllm:{name} histogram")
            for bound, part in ((bounds[0], count / 2), (bounds[1], count), ("+Inf", count)):
                lines.append(f'vllm:{name}_bucket{{{label},le="{bound}"}} {float(part)}')
            lines += [f"vllm:{name}_sum{{{label}}} {count * bounds[0]}", f"vllm:{name}_count{{{label}}} {float(count)}"]
        return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = "standin"
    api_key = ""

    def log_message(self, format: str, *args: object) -> None:
        print(f"INFO:     {self.client_address[0]} - {format % args}", flush=True)

    def send(self, code: int, body: object, kind: str = "application/json") -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self) -> bool:
        while past("STANDIN_HANG_AFTER_S"):
            time.sleep(3600)
        wanted = f"Bearer {self.api_key}"
        if self.path.startswith("/v1") and self.api_key and self.headers.get("Authorization") != wanted:
            self.send(401, {"error": "Unauthorized"})
            return True
        return False

    def do_GET(self) -> None:
        if self.refused():
            return
        if self.path == "/health":
            self.send(503 if past("STANDIN_UNHEALTHY_AFTER_S") else 200, "", "text/plain")
        elif self.path == "/v1/models":
            entry = {"id": self.model, "object": "model", "owned_by": "vllm", "max_model_len": 8192}
            self.send(200, {"object": "list", "data": [entry]})
        elif self.path == "/version":
            self.send(200, {"version": "0.0.0+standin"})
        elif self.path == "/metrics":
            text = Counters.text(self.model)
            self.send(200, text, "text/plain; version=0.0.4")
        elif self.path == "/standin":
            self.send(200, {"argv": sys.argv[1:], "env_names": sorted(os.environ)})
        else:
            self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.refused():
            return
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self.send(404, {"detail": "Not Found"})
        elif body.get("model") not in (None, self.model):
            message = f"The model `{body['model']}` does not exist."
            self.send(404, {"error": {"message": message, "type": "NotFoundError", "param": "model", "code": 404}})
        else:
            self.complete(body, chat=self.path.endswith("/chat/completions"))

    def complete(self, body: dict, chat: bool) -> None:
        with Counters.lock:
            Counters.finished += 1
        reply = os.environ.get("STANDIN_REPLY") or "A stand-in answers."
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        about = {"id": "chatcmpl-standin", "created": int(time.time()), "model": self.model}
        if not body.get("stream"):
            choice: dict = {"index": 0, "finish_reason": "stop"}
            choice |= {"message": {"role": "assistant", "content": reply}} if chat else {"text": reply}
            kind = "chat.completion" if chat else "text_completion"
            self.send(200, {**about, "object": kind, "choices": [choice], "usage": usage})
            return
        events = []
        for word in [*reply.split(" "), None]:
            choice = {"index": 0, "finish_reason": None if word is not None else "stop"}
            text = "" if word is None else f"{word} "
            choice |= {"delta": {"content": text}} if chat else {"text": text}
            kind = "chat.completion.chunk" if chat else "text_completion"
            events.append(json.dumps({**about, "object": kind, "choices": [choice]}))
        self.send(200, "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]), "text/event-stream")


def main() -> None:
    flags = parse(sys.argv[1:])
    ignore = os.environ.get("STANDIN_IGNORE_TERM") == "1"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore else lambda *_: os._exit(0))
    Handler.model = flags.get("served-model-name") or flags.get("model") or "standin"
    Handler.api_key = flags.get("api-key") or os.environ.get("VLLM_API_KEY", "")
    crash_later()
    crash_on_file()
    ready_after = seconds("STANDIN_READY_AFTER_S")
    wait = 0.5 if ready_after is None else ready_after
    for place, stage in enumerate(STAGES):
        log(stage, "EngineCore" if "[core" in stage else "APIServer")
        for n in range(int(os.environ.get("STANDIN_LOG_LINES") or 0) if place == len(STAGES) - 2 else 0):
            log(f"[standin.py:1] log line {n}")
        time.sleep(wait / len(STAGES))
    while os.environ.get("STANDIN_HANG") == "1":
        time.sleep(3600)
    while (file := os.environ.get("STANDIN_READY_FILE")) and not Path(file).exists():
        time.sleep(0.05)
    port = int(flags.get("port") or 8000)
    server = ThreadingHTTPServer((flags.get("host") or "0.0.0.0", port), Handler)  # in a container of its own
    server.daemon_threads = True
    log(f"[entry.py:140] Starting vLLM server on http://0.0.0.0:{port}")
    print("INFO:     Application startup complete.", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
