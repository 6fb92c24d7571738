"""`dsv4 advisories` and `dsv4 explain`, as a user sees them."""

from __future__ import annotations

import io
import json

import pytest

from dsv4_launch.catalog.read import table
from dsv4_launch.cli.advisories.advising import bounded_lines
from dsv4_launch.cli.advisories.explaining import explanations
from dsv4_launch.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    code, out, _ = run(capsys, *arguments, "--output", "json")
    assert code == 0
    return json.loads(out)["data"]


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
    return {row["id"] for row in data(capsys, "advisories", *arguments)["advisories"]}


def test_the_list_is_filtered_by_release_and_gpu(capsys):
    everything = listed(capsys)
    assert {"D01", "D54", "D90"} <= everything
    old, new = listed(capsys, "--vllm", "0.20.0"), listed(capsys, "--vllm", "0.33.0")
    assert {"D21", "D55"} <= old - new
    assert {"D01", "D38"} <= new - old
    assert "D12" in listed(capsys, "--vllm", "0.23.0", "--gpu", "h200")
    assert "D12" not in listed(capsys, "--vllm", "0.23.0", "--gpu", "b200")


@pytest.mark.parametrize("arguments", [("--gpu", "b20"), ("--vllm", "newest")])
def test_a_wrong_filter_is_a_wrong_command_line(capsys, arguments):
    assert run(capsys, "advisories", *arguments)[0] == 2


def test_a_log_is_explained_with_its_line(capsys, tmp_path):
    log = tmp_path / "x.log"
    log.write_bytes(b"fine\n\x1b[31mOSError: [Errno 98] Address already in use\xff\n")
    code, out, _ = run(capsys, "advisories", "--match", str(log))
    assert code == 0
    assert "D82" in out
    assert "line 2" in out
    assert "\x1b" not in out


def test_a_log_that_is_not_there_is_an_input_error(capsys):
    assert run(capsys, "advisories", "--match", "/nowhere/x.log")[0] == 3


def test_an_endless_line_is_read_head_and_tail():
    lines = list(bounded_lines(io.BytesIO(b"a" * 1_000_000 + b" the end\nnext")))
    assert len(lines) == 2
    assert lines[0].startswith("aaa")
    assert lines[0].endswith("the end\n")
    assert len(lines[0]) < 200_000
    assert lines[1] == "next"


@pytest.mark.parametrize("code", ["D56", "d56", "kv-cache-needs-fp8", "gpu002", "flag-unknown"])
def test_every_kind_of_code_is_explained(capsys, code):
    exit_code, out, _ = run(capsys, "explain", code)
    assert exit_code == 0
    assert out.lower().startswith(code.lower())
    assert "cause" in out


def test_an_unknown_code_names_the_nearest(capsys):
    code, _, err = run(capsys, "explain", "kv-cache-need-fp8")
    assert code == 2
    assert "kv-cache-needs-fp8" in err


def test_what_vllm_refuses_of_arguments_together_is_explained():
    known = explanations()
    codes = {row["code"] for row in table("serve_checks")["check"]}
    assert codes | {"parser-check", "parser-unknown", "name-unknown", "value-refused", "field-refused"} <= set(known)
    assert all(known[code].cause and known[code].fix and known[code].sources for code in codes)
