"""The printed proxy files in real nginx and Caddy: judged, and run on loopback in front of a stand-in server."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.conftest import ROOT, command, until
from e2e.ports import free_port

sys.path.insert(0, str(ROOT / "scripts/rig.d"))
from shell import install

# How a route of the server could be asked for from outside, although it is none of /v1.
HIDDEN = (
    "/metrics", "/invocations", "/health", "/openapi.json", "/docs", "/", "/v1", "/v1x", "/v1/../metrics",
    "/v1/..%2fmetrics", "/v1/%2e%2e/metrics", "//metrics", "/v1/./../invocations", "/V1/models",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to install nginx and Caddy")
    install({"nginx": "nginx-light", "caddy": "caddy", "openssl": "openssl"})
    os.environ["PATH"] += ":/usr/sbin"


class Server(BaseHTTPRequestHandler):
    """Answers everything, and streams /v1/chat/completions: the second event only once the first was read."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []  # noqa: RUF012
    read = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(f"{self.path} {self.headers.get('Authorization')}")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (b"data: one\n\n", b"data: two\n\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            assert self.read.wait(60)
        self.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def upstream() -> Iterator[int]:
    Server.seen, Server.read = [], threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    with server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def text(kind: str, upstream: int, *more: str) -> str:
    sets = ("--set", f"server.port={upstream}", "--set", "server.api_key_env=MY_KEY")
    words = command("proxy", "--kind", kind, *sets, *more)
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=150).stdout


def start(kind: str, folder: Path, file: str) -> list[str]:
    """The words that run a proxy with this file in the foreground, judged first by the program itself."""
    if kind == "caddy":
        (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{file}")
        words = ["--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
        subprocess.run(["caddy", "validate", *words], check=True, capture_output=True, timeout=150)
        return ["caddy", "run", *words]
    (folder / "site.conf").write_text(file)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    )
    words = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    subprocess.run([*words, "-t"], check=True, capture_output=True, timeout=150)
    return words


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=150)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return get(port, "/v1/models") == 200
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_v1_passes_unbuffered_and_nothing_else_does(kind: str, tmp_path: Path, upstream: int) -> None:
    port = free_port()
    words = start(kind, tmp_path, text(kind, upstream, "--listen", f"127.0.0.1:{port}"))
    env = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    proxy = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), f"{kind} passes /v1/models", 60)
        Server.seen.clear()
        assert {path: get(port, path) for path in HIDDEN if get(port, path) == 200} == {}
        # Where a proxy passes on what only looks like /v1, the server's own router knows no such path.
        assert [path for path in Server.seen if not path.startswith("/v1/")] == []
        assert [path for path in Server.seen if "metrics" in path or "invocations" in path] == []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=150)
        body = json.dumps({"stream": True, "messages": [{"content": "x" * 3_000_000}]})
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
        response = connection.getresponse()
        assert response.readline() == b"data: one\n"  # the server still waits with the second one
        Server.read.set()
        assert b"data: two" in response.read()
        connection.close()
        assert Server.seen[-1] == "/v1/chat/completions Bearer k"
    finally:
        proxy.terminate()
        proxy.wait(150)


def test_the_file_with_a_certificate_is_judged_too(tmp_path: Path, upstream: int) -> None:
    pem = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    pem += ["-subj", "/CN=llm.example.org", "-keyout", str(tmp_path / "privkey.pem")]
    subprocess.run([*pem, "-out", str(tmp_path / "fullchain.pem")], check=True, capture_output=True, timeout=150)
    file = text("nginx", upstream, "--domain", "llm.example.org")
    start("nginx", tmp_path, file.replace("/etc/letsencrypt/live/llm.example.org", str(tmp_path)))
    caddyfile = tmp_path / "Caddyfile"
    caddyfile.write_text(text("caddy", upstream, "--domain", "llm.example.org"))
    done = subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", str(caddyfile)],
        env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
