"""`dsv4 lint` and `dsv4 import` as a person and a script use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.cli.main import main
from pasted import COMPOSE, PAGE, SOUND


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_lint_says_where_and_prints_the_repaired_command(capsys, tmp_path: Path):
    file = tmp_path / "start.sh"
    file.write_text(PAGE)
    code, out, _ = run(capsys, "lint", str(file))
    assert code == 3
    assert f"--> {file}:4:12: -it" in out
    assert "error[escaped-json]" in out
    assert "# repaired:\ndocker run" in out
    assert "notareal" not in out


def test_lint_says_that_a_file_is_repaired_as_a_command(capsys, tmp_path: Path):
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    _, out, _ = run(capsys, "lint", str(file))
    assert "# repaired, as one command:\ndocker run" in out


def test_lint_of_a_sound_command_is_0_and_json_has_places(capsys):
    assert run(capsys, "lint", SOUND, "--gpu", "b200")[0] == 0
    code, out, _ = run(capsys, "lint", PAGE, "--output", "json")
    answer = json.loads(out)
    (launch,) = answer["data"]["launches"]
    escaped = next(f for f in launch["findings"] if f["code"] == "escaped-json")
    assert (code, answer["exit_code"]) == (3, 3)
    assert PAGE.splitlines()[escaped["line"] - 1][escaped["column"] - 1 :].startswith("'{")
    assert set(escaped) == {"code", "severity", "line", "column", "end_line", "end_column", "words", "why", "fix"}
    assert launch["vllm"] == "0.20.0"
    assert launch["repaired"].startswith("docker run")


def test_batch_gives_a_line_a_command_whatever_it_holds(capsys, tmp_path: Path):
    rows = [
        {"id": 1, "text": PAGE, "gpu": "b200"},
        {
            "id": 2,
            "argv": ["deepseek-ai/DeepSeek-V4-Flash", "--kv-cache-dtype", "fp8"],
            "vllm": "0.25.1",
            "gpu": "b200",
        },
        {"id": 3, "text": "nothing here"},
        {"id": 4},
        {"id": 5, "argv": ["m"], "gpu": "no-such"},
    ]
    file = tmp_path / "c.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\nno json\n\n")
    code, out, _ = run(capsys, "lint", "--batch", str(file))
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [(a["id"], a["ok"]) for a in answers] == [
        (1, False),
        (2, True),
        (3, False),
        (4, False),
        (5, False),
        (None, False),
    ]
    assert all(set(a) == {"id", "ok", "errors", "warnings", "advisories"} for a in answers)
    assert {"D58", "D30"} <= {a["code"] for a in answers[0]["advisories"]}


def test_an_answer_of_batch_is_one_line_for_every_reader_and_a_line_may_hold_the_largest_text(capsys, tmp_path: Path):
    """U+2028 ends a line for some readers; escaped, a text of the largest size is six times as long."""
    separators = "vllm serve deepseek-ai/DeepSeek-V4-Flash --block-size '\u2028\u2029\x85'"
    escaped = "".join(f"\\u{ord(c):04x}" for c in "vllm serve m --x " + "x" * 350_000)
    file = tmp_path / "c.jsonl"
    file.write_text(json.dumps({"id": "\u2028", "text": separators}) + f'\n{{"id": 2, "text": "{escaped}"}}\n')
    assert file.stat().st_size > 2_000_000
    code, out, _ = run(capsys, "lint", "--batch", str(file), "--vllm", "0.28.0")
    first, second = map(json.loads, out.splitlines())
    assert (code, first["id"], second["id"]) == (3, "\u2028", 2)
    assert first["errors"]
    assert "unknown-option" in {error["code"] for error in second["errors"]}


def test_the_answers_of_batch_are_lines_with_output_json_too(capsys, tmp_path: Path):
    file = tmp_path / "c.jsonl"
    file.write_text(json.dumps({"id": 1, "text": SOUND}) + "\n")
    plain = run(capsys, "lint", "--batch", str(file))
    assert run(capsys, "lint", "--batch", str(file), "--output", "json") == plain
    assert json.loads(plain[1])["id"] == 1


def test_import_writes_a_config_that_validates(capsys, tmp_path: Path):
    out = tmp_path / "mine.yaml"
    code, said, notes = run(capsys, "import", PAGE, "--gpu", "b200", "-o", str(out))
    assert (code, said) == (0, "")
    assert "lost: the value of HF_TOKEN" in notes
    assert len(set(notes.splitlines())) == len(notes.splitlines())
    assert run(capsys, "validate", str(out))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["lint"], 2),
        (["lint", "x", "--batch", "y"], 2),
        (["lint", "no-such-file.sh"], 3),
        (["lint", "hello world"], 3),
        (["lint", ""], 3),
        (["lint", "/"], 3),
        (["lint", SOUND, "--gpu", "b20"], 3),
        (["lint", "--batch", "/no/such"], 3),
        (["import", "hello world"], 3),
        (["import", SOUND, "--gpu", "b20"], 3),
        (["import", SOUND, "-o", "/no/such/folder/x.yaml"], 3),
    ],
)
def test_what_cannot_be_read_ends_with_its_code(capsys, arguments: list[str], code: int):
    assert run(capsys, *arguments)[0] == code


# No clock is asked: what is quadratic in a megabyte ends at the timeout of every test.
@pytest.mark.parametrize(
    "piece", [b"\xff\xfe", b"docker run ", b"vllm serve 'x", b"- ", b"\\\n", b"export A=b\n", b'{"a":']
)
def test_a_megabyte_of_anything_is_answered(capsys, tmp_path: Path, piece: bytes):
    file = tmp_path / "big"
    file.write_bytes(b"vllm serve m --x " + piece * (950_000 // len(piece)))
    for command in ("lint", "import"):
        assert run(capsys, command, str(file))[0] in (0, 3)


@pytest.mark.parametrize("command", ["lint", "import"])
def test_a_file_without_a_launch_is_named(capsys, tmp_path: Path, command: str):
    file = tmp_path / "notes.txt"
    file.write_text("hello world")
    code, out, said = run(capsys, command, str(file))
    assert (code, out) == (3, "")
    assert f"--> {file}\n" in said


def test_more_than_a_megabyte_is_refused(capsys, tmp_path: Path):
    file = tmp_path / "big"
    file.write_bytes(b"x" * 1_000_001)
    assert run(capsys, "lint", str(file))[0] == 3
