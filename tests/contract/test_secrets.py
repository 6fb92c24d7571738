"""A secret of the environment, or one that a log or a server repeats, is in nothing that is printed or written.

What runs is judged by the end-to-end tests; here are the texts that a person sends to others: reports, proxy and unit
files, bundles, events. The canary stands in the environment, in the log of a dead server, and in what a server answers.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dsv4_launch.cli import drivers
from dsv4_launch.cli.doctor import doctoring
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.cli.main import main
from dsv4_launch.config.watch import OnFailure
from dsv4_launch.run.service import Seen
from dsv4_launch.run.watch import event as watch_event
from dsv4_launch.run.watch import lock as watch_lock

CANARY = "canary-4c1d77e0b9a2"
SECRETS = {name: f"{CANARY}-{name.lower()}" for name in ("MY_KEY", "MY_SECRET", "MY_HF", "MY_HOOK", "HF_TOKEN")}
CONFIG = {
    "name": "x",
    "model": "flash",
    "vllm": "0.20.0",
    "gpu": "b200",
    "parallel": {"tensor": 4},
    "server": {"api_key_env": "MY_KEY"},
    "secrets": {"hf_token": "MY_HF", "pass_through": ["MY_SECRET"]},
    "watch": {"on_failure": {"command": ["true"], "webhook_env": "MY_HOOK"}},
}
# As vLLM, the Hub's client and HTTP libraries write them; the last is what blames the death.
LOG = (
    f"non-default args: {{'api_key': ['{SECRETS['MY_KEY']}'], 'model': 'x'}}",
    f"INFO environment MY_SECRET={SECRETS['MY_SECRET']} HF_TOKEN={SECRETS['HF_TOKEN']}",
    f"DEBUG Authorization: Bearer {SECRETS['MY_KEY']}",
    f"torch.OutOfMemoryError: CUDA out of memory. api_key={SECRETS['MY_KEY']}",
)


class Dead:
    """A driver whose one service died with secrets in its log."""

    def find(self, name: str) -> Seen | None:
        made = "2026-11-23T17:00:00Z"
        seen = Seen(
            "x", "docker", "exited", "d", CONFIG, "u", "http://127.0.0.1:9", made, exit_code=1, restart="always"
        )
        return seen if name == "x" else None

    def all(self) -> list[Seen]:
        return [seen for seen in [self.find("x")] if seen]

    def logs(self, name: str, **_: object) -> Iterator[str]:
        return iter(LOG)


class Echo(BaseHTTPRequestHandler):
    """Lists a model, and refuses everything else with the headers that it was sent, as some proxies do."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        listed = self.path == "/v1/models"
        data = {"data": [{"id": "m", "object": "model"}]} if listed else {"error": {"message": str(self.headers)}}
        body = json.dumps(data).encode()
        self.send_response(200 if listed else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config that names secrets, in an environment that has them, with a deployment that died."""
    for name, value in {**SECRETS, "DSV4_STATE_DIR": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drivers, "driver_of", lambda _: Dead())
    monkeypatch.setattr(drivers, "_drivers", lambda _: iter([Dead()]))
    monkeypatch.setattr(watch_lock, "_address", lambda *_: f"\0dsv4-test-{os.getpid()}")  # other tests watch an x too
    monkeypatch.setattr(watch_lock, "_changes", lambda *_: f"\0dsv4-test-change-{os.getpid()}")
    probed = read_facts("hgx-b200").model_copy(update={"origin": "probed"})
    monkeypatch.setattr(doctoring, "_look", lambda *_, **__: probed)
    (tmp_path / "dsv4/caches/vllm-openai-v0.20.0-b200").mkdir(parents=True)
    (tmp_path / "x.yaml").write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in CONFIG.items()))
    return tmp_path


COMMANDS = {
    "render-cmd": ["render-cmd", "x.yaml"],
    "plan": ["plan", "x.yaml", "--explain"],
    "proxy": ["proxy", "x.yaml"],
    "proxy of caddy": ["proxy", "x.yaml", "--kind", "caddy"],
    "unit": ["unit", "x.yaml", "--program", "/usr/bin/dsv4"],
    "unit natively": ["unit", "x.yaml", "--program", "/usr/bin/dsv4", "--target", "native"],
    "doctor": ["doctor", "x.yaml", "--bundle", "bundle.tar.gz", "--save", "facts.json"],
    "status": ["status", "x.yaml"],
    "show": ["show", "x"],
    "diff": ["diff", "x.yaml", "x"],
    "diagnose": ["diagnose", "x"],
    "diagnose a file": ["diagnose", "./server.log"],
    "advisories": ["advisories", "--match", "server.log"],
    "watch": ["watch", "x.yaml"],
    "cache ls": ["cache", "ls"],
    "validate": ["validate", "x.yaml"],
    "serve without launching": ["serve", "x.yaml", "--dry-run", "--facts", "hgx-b200"],
    "apply without changing": ["apply", "x.yaml", "--dry-run"],
    "history": ["history", "x"],
    "fit": ["fit", "x.yaml"],
    "migrate": ["migrate", "x.yaml", "--to", "0.28.0"],
}  # fmt: skip


@pytest.mark.parametrize("output", ["human", "json"])
@pytest.mark.parametrize("case", COMMANDS)
def test_no_secret_is_printed_or_written(
    case: str, output: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = here / "server.log"
    given.write_text("\n".join(LOG))
    code = main([*COMMANDS[case], "--output", output])
    said = capsys.readouterr()
    assert code in (0, 5, 7, 10), said.err
    assert CANARY not in said.out + said.err
    assert said.out + said.err
    given.unlink()
    assert not [path for path in files(here) if CANARY in text_of(path)]
    if case == "doctor":
        assert "Authorization" in text_of(here / "bundle.tar.gz"), "the log is in it, without what is secret"
    if case.startswith("diagnose"):
        assert "D69" in said.out
    if case == "watch":
        assert (code, "crash-loop" in said.out + said.err or "again and again" in said.err) == (7, True)


@pytest.mark.parametrize("output", ["human", "json"])
@pytest.mark.parametrize("command", ["lint", "import"])
def test_a_secret_in_a_pasted_command_is_not_repeated(
    command: str, output: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pasted = (
        f"docker run --gpus all -e HF_TOKEN={SECRETS['HF_TOKEN']} -e MY_SECRET={SECRETS['MY_SECRET']} --ipc=host "
        f"-p 8000:8000 vllm/vllm-openai:v0.20.0 deepseek-ai/DeepSeek-V4-Flash --api-key {SECRETS['MY_KEY']} "
        f"--hf-token={SECRETS['MY_HF']} --tensor-parallel-size 4"
    )
    (here / "pasted.sh").write_text(pasted)
    for given in (pasted, "pasted.sh"):
        assert main([command, given, "--output", output]) != 1
        said = capsys.readouterr()
        assert CANARY not in said.out + said.err
        assert said.out + said.err


def test_what_a_server_repeats_of_the_key_is_not_in_a_smoke_report(
    echo: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in ("human", "json"):
        words = ["smoke", "--url", echo, "--key-env", "MY_KEY", "--junit", "smoke.xml", "--output", output]
        assert main(words) == 8
        said = capsys.readouterr()
        junit = (here / "smoke.xml").read_text()
        assert CANARY not in said.out + said.err + junit
        assert "Bearer ***" in said.out + said.err
        assert "Bearer ***" in junit


def test_neither_command_nor_webhook_of_an_event_gets_a_secret(
    monkeypatch: pytest.MonkeyPatch, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The file names another key and no Hub token; the service still carries the config that it was launched from.
    file = {**CONFIG, "server": {"api_key_env": "NEW_KEY"}, "secrets": {}}
    (here / "x.yaml").write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in file.items()))
    for name in ("NEW_KEY", "VLLM_API_KEY", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, f"{CANARY}-{name.lower()}")
    posted: list[bytes] = []
    ran: list[tuple[dict[str, str], bytes]] = []
    monkeypatch.setattr(watch_event, "_post", lambda _url, data, *_: posted.append(data))
    monkeypatch.setattr(watch_event, "_run", lambda _argv, environ, data, *_: ran.append((dict(environ), data)))
    assert main(["watch", "x.yaml"]) == 7
    assert "D69" in capsys.readouterr().err
    ((environ, given),) = ran
    assert json.loads(posted[0])["advisory"] == "D69"
    assert environ["DSV4_ADVISORY"] == "D69"
    assert environ["PATH"] == os.environ["PATH"]
    assert CANARY not in json.dumps(environ) + given.decode() + posted[0].decode()


def test_a_webhook_that_fails_is_told_by_its_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    event = watch_event.Event("died", "x", "docker", "node7", "2026-11-23T17:00:00Z", "it ended", "It is left.")
    for url in (f"http://127.0.0.1:9/{CANARY}", f"http://{CANARY}:{CANARY}@127.0.0.1:9/", f"nonsense:{CANARY}"):
        wanted = OnFailure(webhook_env="MY_HOOK")
        watch_event.send(event, wanted, {"MY_HOOK": url}, (), said.append)
    assert len(said) == 3
    assert CANARY not in "".join(said)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", "replace")
