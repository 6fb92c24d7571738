"""`dsv4 validate`: every problem of a file in one go, and each of them once."""

from __future__ import annotations

import json

import pytest

from dsv4_launch.cli.main import main


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("vllm: 0.20\n", ["vllm is 0.2; it must be text.", "parallel.tensor is 'four'; it must be a whole number."]),
        (
            "",
            [
                "parallel.tensor is 'four'; it must be a whole number.",
                "vllm is missing, and the image's tag does not tell it.",
            ],
        ),
    ],
)
def test_a_wrong_release_is_told_once_and_a_missing_one_too(capsys, tmp_path, version: str, said: list[str]):
    config = tmp_path / "c.yaml"
    config.write_text(f"name: x\nmodel: flash\n{version}gpu: b200\nparallel: {{tensor: four}}\n")
    assert main(["validate", str(config), "--output", "json"]) == 3
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert [error["message"] for error in errors] == said


def test_a_code_is_shown_where_it_says_more_than_the_kind_of_failure(capsys):
    assert main(["migrate", "flash-b200", "--to", "0.33.0"]) == 3
    assert "[built-in]" in capsys.readouterr().err
    assert main(["render-cmd", "--set", "engine=1"]) == 3
    assert "[input]" not in capsys.readouterr().err
    assert main(["render-cmd", "--set", "engine.no_such_thing=1"]) == 3
    assert "[flag-unknown]" in capsys.readouterr().err
    assert main(["explain", "flag-unknown"]) == 0
