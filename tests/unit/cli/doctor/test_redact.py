"""What a bundle must not hold is removed, and what an issue needs stays."""

import pytest

from dsv4_launch.cli.doctor.redact import Redactor

redact = Redactor(
    ["tok3n-canary", 'qu"ote-canary', "abc"], ["node7", "node7.corp.example", "github.com"], ["/home/alice"]
)


@pytest.mark.parametrize(
    "text",
    [
        "HF_TOKEN is tok3n-canary here",
        '{"x": "qu\\"ote-canary"}',
        "a token hf_canaryCANARY1234567890 in a log",
        "sk-canaryCANARY1234567890abcdef",
        "Authorization: Bearer canary-1234567",
        "--api-key canary-1234567 --port 8000",
        "api_key=['canary-1234567']",
        "MY_PASSWORD: canary-1234567",
        '"SOME_SECRET": "canary-1234567"',
        "https://user:canary@mirror.example/x",
        "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9canary.sig-canary",
    ],
)
def test_secrets_go(text: str) -> None:
    assert "canary" not in redact(text).lower().replace("canary@", "")
    assert "canary" not in redact(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("on node7 and node7.corp.example", "on (host) and (host)"),
        ("tcp://10.1.2.3:2376", "tcp://(host):2376"),
        ("from 10.1.2.3 and 2001:db8::17", "from (ip) and (ip)"),
        ("http://registry.internal:5000/v2", "http://(host):5000/v2"),
        ("link/ether 02:42:ac:11:00:02", "link/ether (mac)"),
        ("/home/alice/.cache/huggingface", "~/.cache/huggingface"),
    ],
)
def test_names_of_machines_go(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "driver 580.95.05, CUDA 13.0, vLLM 0.20.0",
        "127.0.0.1:8000 and 0.0.0.0 and ::1",
        "NVRM: Xid (PCI:0000:1b:00): 79",
        "https://github.com/vllm-project/vllm/issues/1 https://huggingface.co/deepseek-ai/x",
        '"token_present": true, "hf_token_env": "HF_TOKEN", "token_source": "environment"',
        "--max-num-batched-tokens 65536 tokenizer_mode: deepseek_v4",
        "2026-11-23T18:19:42+00:00 12:34:56",
        "GPU-00000000-0000-4000-8000-000000000001",
        "node70 xnode7",
        "sha256:0123456789abcdef",
    ],
)
def test_what_an_issue_needs_stays(text: str) -> None:
    assert redact(text) == text


def test_what_was_removed_is_removed_once() -> None:
    text = "api_key: tok3n-canary Bearer tok3n-canary"
    assert redact(redact(text)) == redact(text)


def test_a_long_hostile_text_is_read_in_linear_time() -> None:
    redact("token: " + "a" * 200_000 + "=" * 200_000 + "://" * 50_000 + "1." * 100_000 + "f:" * 100_000)
