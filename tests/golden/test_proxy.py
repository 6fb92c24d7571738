"""The proxy files, byte for byte; tests/e2e/test_proxy.py has nginx and Caddy judge and run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.cli.main import main

FOLDER = Path(__file__).parent / "proxy"
KEY = ("--set", "server.api_key_env=MY_KEY")


@pytest.mark.parametrize("name", ["domain", "loopback"])
@pytest.mark.parametrize(("kind", "suffix"), [("nginx", "conf"), ("caddy", "caddyfile")])
def test_the_file_of_a_proxy(name: str, kind: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--domain", "llm.example.org") if name == "domain" else ()
    assert main(["proxy", "--kind", kind, *KEY, *where]) == 0
    assert capsys.readouterr().out == (FOLDER / f"{name}.{suffix}").read_text()


def test_it_is_told_to_scripts_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proxy", *KEY, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["text"] == (FOLDER / "loopback.conf").read_text()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "proxy-needs-key"),
        ((*KEY, "--set", "server.host=0.0.0.0"), "proxy-passed-by"),
        ((*KEY, "--set", "server.host=10.0.0.5"), "proxy-passed-by"),
    ],
)
def test_a_proxy_that_would_guard_nothing_is_refused(
    words: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proxy", *words, "--output", "json"]) == 4
    assert code in [error["code"] for error in json.loads(capsys.readouterr().out)["errors"]]


@pytest.mark.parametrize(
    "words",
    [
        ("--domain", "a;b"), ("--domain", "a b.org"), ("--domain", "a\n}"), ("--domain", ""), ("--domain", "-a.org"),
        ("--listen", "8080"), ("--listen", "127.0.0.1:0"), ("--listen", "127.0.0.1:80;x"), ("--listen", "host:80"),
    ],
)  # fmt: skip
def test_a_hostile_address_ends_no_line_of_the_file(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proxy", *KEY, *words]) == 2
    assert "server {" not in capsys.readouterr().out
