"""The documents of a run directory: they come back as they were written, and what is broken is told by its place."""

import json

import pytest

from dsv4_launch.bench.results import (
    Fingerprint,
    GpuPrint,
    Method,
    Planned,
    Run,
    Side,
    Workload,
    dump,
    parse_run,
    parse_side,
    schema,
)
from dsv4_launch.errors import InputError

RUN = Run(
    id="a",
    created="2026-01-02T03:04:05Z",
    dsv4="0.1.0",
    url="http://127.0.0.1:8000",
    model="m",
    fingerprint=Fingerprint(gpus=(GpuPrint(index=0, name="NVIDIA B200", power_limit_w=1000.0),)),
    points=(Planned(key="c0001-r1", concurrency=1, repeat=1, num_prompts=8, seed=3),),
)
SIDE = Side(key="c0001-r1", status="ok", started="a", finished="b", seconds=1.5, errors={"HTTP 500": 2})


def test_documents_come_back_equal() -> None:
    assert parse_run(dump(RUN), "run.json") == RUN
    assert parse_side(dump(SIDE), "x") == SIDE


@pytest.mark.parametrize(
    ("length", "ratio", "thinking", "repeats"), [(1, 0.0, None, 1), (99_999, 0.99, True, 100), (7, 1 / 3, False, 3)]
)
def test_any_workload_comes_back_equal(length: int, ratio: float, thinking: bool | None, repeats: int) -> None:
    run = RUN.model_copy(
        update={
            "workload": Workload(input_len=length, prefix_ratio=ratio, thinking=thinking),
            "method": Method(repeats=repeats),
        }
    )
    assert parse_run(dump(run), "run.json") == run


@pytest.mark.parametrize("cut", [0, 1, 20, 200, -3])
def test_a_truncated_document_is_told_by_its_file(cut: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_run(dump(RUN)[:cut], "DIR/run.json")
    assert caught.value.problems[0].where == "DIR/run.json"
    assert "whole" in caught.value.problems[0].message or "empty" in caught.value.problems[0].message


@pytest.mark.parametrize("version", [2, "1", None, 0])
def test_another_version_is_refused_in_so_many_words(version: object) -> None:
    data = json.loads(dump(RUN))
    data["version"] = version
    with pytest.raises(InputError) as caught:
        parse_run(json.dumps(data), "run.json")
    assert caught.value.problems[0].code == "bench-version"


def test_a_wrong_value_is_told_by_its_path_and_an_unknown_key_is_passed_over() -> None:
    data = json.loads(dump(RUN))
    data["points"][0]["concurrency"] = 0
    with pytest.raises(InputError) as caught:
        parse_run(json.dumps(data), "run.json")
    assert caught.value.problems[0].where == "run.json: points.0.concurrency"
    data["points"][0]["concurrency"] = 1
    data["later"] = data["fingerprint"]["later"] = "more"
    assert parse_run(json.dumps(data), "run.json") == RUN


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000, '{"version": NaN}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_side(text, "x")


def test_a_key_cannot_name_another_folder() -> None:
    data = json.loads(dump(RUN))
    data["points"][0]["key"] = "../../etc/passwd"
    with pytest.raises(InputError):
        parse_run(json.dumps(data), "run.json")


def test_the_schema_names_every_document() -> None:
    found = schema()
    assert found["properties"]["version"]["const"] == 1
    assert {"Side", "Planned", "Workload", "Fingerprint", "Client"} <= set(found["$defs"])
    references = {word for word in json.dumps(found).split('"') if word.startswith("#/$defs/")}
    assert {name.removeprefix("#/$defs/") for name in references} <= set(found["$defs"])
