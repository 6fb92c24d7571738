"""A token in the environment reaches the server by name, and appears nowhere: no argv, text, label, log or error."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

from e2e.conftest import Node, name_of, url_of

CANARY = "canary-5d1f0c27ab93"


class Watch:
    """Reads the command line of every process, again and again."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.rounds = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes()
                except OSError:
                    continue
                if CANARY.encode() in words:
                    self.found.add(words.decode("utf-8", "replace"))
            self.rounds += 1
            self._over.wait(0.02)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def get(url: str, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=150) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_canary_token_appears_nowhere(node: Node) -> None:
    secrets = {"MY_KEY": f"{CANARY}-key", "MY_SECRET": f"{CANARY}-passed", "MY_HF": f"{CANARY}-hf"}
    names = {"hf_token": "MY_HF", "pass_through": ["MY_SECRET"]}
    config = node.config(server={"api_key_env": "MY_KEY"}, secrets=names)
    crash = {"STANDIN_CRASH_AFTER_S": "0.5", "STANDIN_READY_AFTER_S": "60"}
    broken = node.config(env=crash, server={"api_key_env": "MY_KEY"}, secrets=names)
    name = name_of(config)
    texts = []
    with Watch() as watch:
        for words in (
            ("render-cmd", config),
            ("render-cmd", config, "--output", "json"),
            ("plan", config, "--explain"),
            ("serve", config, "--dry-run"),
            ("serve", config),
            ("status", name, "--output", "json"),
            ("show", name),
            ("logs", name),
            ("serve", broken, "--output", "json"),
            ("status",),
            ("diff", broken, name),
            ("history", name, "--output", "json"),
            ("history",),
            ("apply", config, "--yes", "--smoke", "short", "--set", "env.A=b"),
            ("apply", config, "--dry-run", "--output", "json"),
            ("logs", name, "--last"),
            ("logs", name, "--last", "--output", "json"),
            ("diagnose", name),
            ("diagnose", name, "--output", "json"),
            ("proxy", config),
            ("unit", config),
            ("cache", "ls", "--output", "json"),
            ("doctor", config, "--bundle", node.folder / "bundle.tar.gz"),
            ("smoke", name, "--junit", node.folder / "smoke.xml"),
        ):
            done = node.dsv4(*words, env=secrets)
            texts.append(done.stdout + done.stderr)
        status, body = get(f"{url_of(config)}/standin")
        texts.append(body)
        assert status == 200
        assert get(f"{url_of(config)}/v1/models")[0] == 401
        assert get(f"{url_of(config)}/v1/models", secrets["MY_KEY"])[0] == 200
        other = node.dsv4("status", name)  # a colleague who has not the key
        assert f"{name}: ready" in other.stdout
    assert watch.rounds > 10
    assert not watch.found
    assert [text for text in texts if CANARY in text] == []
    (inspected,) = json.loads(node.docker("inspect", name))
    assert CANARY not in json.dumps([inspected["Config"]["Labels"], inspected["Args"], inspected["Config"]["Cmd"]])
    kept = node.docker("volume", "ls", "--quiet", "--filter", f"label=dsv4.history={name}").split()
    assert len(kept) == 2, "the launch and the change"
    assert CANARY not in node.docker("volume", "inspect", *kept)
    assert list((node.folder / "state/logs").rglob("*.log")), "a saved log is among the files below"
    passed = set(json.loads(body)["env_names"])
    assert {"VLLM_API_KEY", "MY_SECRET"} <= passed
    assert not {"MY_KEY", "MY_HF", "HF_TOKEN"} & passed, "the server needs no Hub token"
    assert (node.folder / "smoke.xml").is_file()
    bundle = gzip.decompress((node.folder / "bundle.tar.gz").read_bytes())
    assert CANARY.encode() not in bundle
    assert b"Application startup complete" in bundle, "the server's log is in it"
    for path in node.folder.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
