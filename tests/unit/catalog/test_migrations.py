"""Every loss between two releases is explained, and no explanation is about nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.migrations import BACK, CONVERSIONS, Migration, behaviours, migrations, same_word
from dsv4_launch.catalog.rules import WHEN_KEYS
from dsv4_launch.convert.migrate.places import has, name_at
from release_drift import Loss, losses

LOSSES = losses()
# Words of options that take any text: no table lists them. Read in the registries of vLLM's source.
UNLISTED = {
    ("0.23.0", "quantization"),
    ("0.24.0", "quantization"),
    ("0.28.0", "quantization"),
    ("0.24.0", "load_format"),
    ("0.28.0", "load_format"),
    ("0.24.0", "KVTransferConfig.kv_connector"),
    ("0.28.0", "AttentionConfig.use_fp4_indexer_cache"),  # deprecated there, gone two releases later
}


def rows_of(loss: Loss) -> list[Migration]:
    return [
        row
        for row in migrations()
        if not row.down
        and loss.release in row.borders
        and loss.name in row.names
        and (loss.kind != "word" or row.is_about(loss.name, loss.word))
    ]


def test_the_losses_are_found():
    names = {(loss.release, loss.name) for loss in LOSSES}
    assert len(LOSSES) > 100
    assert {
        ("0.27.0", "max_num_partial_prefills"),
        ("0.28.0", "calculate_kv_scales"),
        ("0.30.0", "AttentionConfig.use_fp4_indexer_cache"),
        ("0.31.0", "log_config_file"),
        ("0.32.0", "KVTransferConfig.kv_rank"),
        ("0.33.0", "env.VLLM_USE_RAY_WRAPPED_PP_COMM"),
    } <= names
    assert Loss("0.33.0", "0.32.0", "word", "spec_method", "medusa") in LOSSES
    assert Loss("0.23.0", "0.22.1", "word", "all2all_backend", "mori") in LOSSES


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.release}-{loss.name}-{loss.word or loss.kind}")
def test_every_loss_is_explained(loss):
    assert rows_of(loss), f"say in catalog/data/migrations what became of {loss}"


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.kind == "gone"], ids=lambda loss: loss.name)
def test_what_is_gone_has_an_answer_for_every_value(loss):
    rows = rows_of(loss)
    assert all(row.action != "keep" for row in rows)
    assert any(not row.values and not row.when and not row.only_with for row in rows)


def test_every_explanation_is_about_a_loss():
    lost = {(loss.release, loss.name) for loss in LOSSES} | UNLISTED
    said = {(border, name) for row in migrations() if not row.down for border in row.borders for name in row.names}
    assert said - lost == set()


def test_names_are_known_before_the_border_and_targets_after_it():
    order = versions()
    for row in migrations():
        for border in row.borders:
            older, newer = flag_table(order[order.index(border) - 1]), flag_table(border)
            left, entered = (newer, older) if row.down else (older, newer)
            assert all(has(left, name) for name in row.names), row
            for target in (row.to, *row.set):
                for name in row.names if target else ():
                    cls, dot, _ = name.rpartition(".")
                    beside = f"{cls}{dot}{target[1:]}"
                    found = beside if target.startswith(".") else name_at(target, entered)
                    free = "kv_connector_extra_config" in target or target == "engine.indexer_cache_dtype"
                    assert free or has(entered, found), (row, target)


def test_rows_are_whole():
    for row in migrations():
        assert set(row.borders) <= set(versions()[1:])
        assert len(row.why) > 10
        assert row.source.startswith(("https://", "vllm 0."))
        assert set(row.when) <= WHEN_KEYS
        assert set(row.when.get("arch", ())) <= {gpu.arch for gpu in gpus().values()}
        does = {
            "rename": bool(row.to),
            "replace": bool(row.set) or row.value is not None or bool(row.convert),
            "drop": True,
            "refuse": True,
            "keep": True,
        }
        assert does[row.action]
        assert row.convert in CONVERSIONS
        assert not row.back or len(row.values) == 1


def test_no_row_is_hidden_by_an_earlier_one():
    seen: Counter[tuple[str, str, bool]] = Counter()
    for row in migrations():
        for border in row.borders:
            for name in row.names:
                assert not seen[(border, name, row.down)], f"{name} at {border}: an earlier row takes every value"
                if not row.values and not row.when and not row.only_with:
                    seen[(border, name, row.down)] += 1


def test_words_are_compared_as_vllm_reads_them():
    assert same_word("FlashInfer-TRTLLM", "flashinfer_trtllm")
    assert same_word(True, "true")
    assert same_word("1", 1)
    assert not same_word("10", 1)


def test_conversions_come_back():
    assert CONVERSIONS["inverse"](0.5) == 2
    assert BACK["inverse"](CONVERSIONS["inverse"](4.0)) == 4
    assert BACK["int"](CONVERSIONS["int"]("4096")) == "4096"
    assert CONVERSIONS["comma-list"]("model,worker") == ("model", "worker")
    assert CONVERSIONS["underscores"]("flashinfer-cutlass") == "flashinfer_cutlass"


def test_behaviours_name_what_a_config_can_say():
    for change in behaviours():
        assert change.since in versions()[1:]
        assert change.up != change.down
        assert change.source.startswith(("https://", "vllm 0."))
        tables = [flag_table(version) for version in versions()]
        for path in (*change.only, *change.unless):
            name = path if path.startswith("env.") else path.removeprefix("engine.")
            known = any(has(t, name) or name_at(path, t) for t in tables)
            assert known, path
