"""The catalog's hand-written tables: complete, well-formed, and free of contradictions."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from dsv4_launch.catalog.read import table

DATA = files("dsv4_launch.catalog.data")
HAND_WRITTEN = ("gpus", "models", "releases", "caches")
RELEASES = [
    "0.20.0",
    "0.20.1",
    "0.20.2",
    "0.21.0",
    "0.22.0",
    "0.22.1",
    "0.23.0",
    "0.24.0",
    "0.25.0",
    "0.25.1",
    "0.26.0",
    "0.27.0",
    "0.27.1",
    "0.28.0",
    "0.29.0",
    "0.30.0",
    "0.31.0",
    "0.32.0",
    "0.33.0",
]
# A public URL, with an optional file and line inside the package or repository that it names.
SOURCE = re.compile(r"https://[a-z0-9.-]+/[^\s<>\"']+( [\w./-]+:\d+)?")
VERSION = re.compile(r"\d+\.\d+\.\d+")


def rows(name: str) -> list[tuple[str, dict[str, Any]]]:
    if name == "caches":
        return [(row["name"], row) for row in table(name)["cache"]]
    return list(table(name).items())


ALL_ROWS = [pytest.param(name, key, row, id=f"{name}-{key}") for name in HAND_WRITTEN for key, row in rows(name)]
GPU_ROWS = [pytest.param(key, row, id=key) for key, row in rows("gpus")]
MODEL_ROWS = [pytest.param(key, row, id=key) for key, row in rows("models")]
RELEASE_ROWS = [pytest.param(key, row, id=key) for key, row in rows("releases")]


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_a_table_stays_readable(name: str) -> None:
    lines = DATA.joinpath(f"{name}.toml").read_text("utf-8").splitlines()
    assert len(lines) <= 300


@pytest.mark.parametrize(("name", "key", "row"), ALL_ROWS)
def test_every_row_says_where_it_comes_from(name: str, key: str, row: dict[str, Any]) -> None:
    sources = {field: value for field, value in row.items() if field == "source" or field.endswith("_source")}
    assert "source" in sources
    for value in sources.values():
        assert SOURCE.fullmatch(value), value


@pytest.mark.parametrize(("name", "key", "row"), ALL_ROWS)
def test_what_is_unverified_is_a_field_of_the_row(name: str, key: str, row: dict[str, Any]) -> None:
    unverified = row.get("unverified", [])
    assert len(set(unverified)) == len(unverified)
    assert set(unverified) <= set(row) - {"unverified", "source"}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_every_url_in_comments_is_https(name: str) -> None:
    assert "http://" not in DATA.joinpath(f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize(("key", "row"), GPU_ROWS)
def test_gpu_row(key: str, row: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
    allowed = {
        "title", "names", "memory_mib", "compute_capability", "arch", "gpus_per_node", "source",
        "unsupported", "unverified", "min_vllm", "vllm", "image",
    }  # fmt: skip
    assert set(row) <= allowed
    assert all(name == name.strip() and name.startswith("NVIDIA ") for name in row["names"])
    if "min_vllm" in row:
        assert row["min_vllm"] in RELEASES


@pytest.mark.parametrize(("key", "row"), GPU_ROWS)
def test_a_gpu_that_can_serve_can_be_recognised(key: str, row: dict[str, Any]) -> None:
    if key == "cpu" or "unsupported" in row:
        return
    assert row["names"]
    assert row["memory_mib"] > 0
    assert row["gpus_per_node"] in (1, 2, 4, 8)


@pytest.mark.parametrize(("key", "row"), GPU_ROWS)
def test_arch_follows_from_the_compute_capability(key: str, row: dict[str, Any]) -> None:
    arch_of = {
        "": "cpu", "8.9": "sm89", "9.0": "sm90", "10.0": "sm100", "10.3": "sm100", "12.0": "sm120", "12.1": "sm121",
    }  # fmt: skip
    assert row["arch"] == arch_of[row["compute_capability"]]


def test_a_gpu_name_belongs_to_one_type() -> None:
    names = Counter(name for _, row in rows("gpus") for name in row["names"])
    assert [name for name, count in names.items() if count > 1] == []


def test_look_alikes_are_not_b200() -> None:
    assert table("gpus")["b200"]["names"] == ["NVIDIA B200"]
    owner = {name: key for key, row in rows("gpus") for name in row["names"]}
    assert owner["NVIDIA GB200"] == "gb200"
    assert owner["NVIDIA B300 SXM6 AC"] == "b300"


def test_the_gpus_of_the_built_in_configs_are_there_and_usable() -> None:
    for key in ("b200", "b300", "gb200", "gb300", "h200", "h100", "rtx-pro-6000", "cpu"):
        assert "unsupported" not in table("gpus")[key]


def test_the_rehearsal_names_a_known_release_and_a_local_image() -> None:
    cpu = table("gpus")["cpu"]
    assert cpu["vllm"] in RELEASES
    assert "/" not in cpu["image"]
    assert "{vllm}" in cpu["image"]
    assert [key for key, row in rows("gpus") if "image" in row] == ["cpu"]


@pytest.mark.parametrize(("key", "row"), MODEL_ROWS)
def test_model_row(key: str, row: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", row["repo"])
    assert row["architecture"] == "DeepseekV4ForCausalLM"
    assert row["precision"] in ("fp4-fp8", "nvfp4")
    assert row["draft"] in ("mtp", "dspark", "")
    assert row["min_vllm"] in RELEASES
    assert isinstance(row["gated"], bool)
    # One shape for all: they are quantisations and repacks of one model.
    shape = ("layers", "attention_heads", "o_groups", "routed_experts", "moe_intermediate_size", "max_model_len")
    assert [row[field] for field in shape] == [43, 64, 8, 256, 2048, 1048576]
    # About 3.5 GB a shard in every checkpoint; a slip of a digit shows here.
    assert 3.0e9 < row["weight_bytes"] / row["files"] < 4.0e9


def test_the_preview_checkpoint_has_the_size_that_vllm_logs() -> None:
    assert round(table("models")["flash"]["weight_bytes"] / 2**30, 2) == 148.66


def test_dspark_needs_the_release_that_brought_it() -> None:
    assert {row["min_vllm"] for _, row in rows("models") if row["draft"] == "dspark"} == {"0.25.0"}


def test_a_hub_repository_is_listed_once() -> None:
    repos = [row["repo"].lower() for _, row in rows("models")]
    assert len(set(repos)) == len(repos)


def test_every_release_is_there_in_order() -> None:
    assert list(table("releases")) == RELEASES


@pytest.mark.parametrize(("key", "row"), RELEASE_ROWS)
def test_release_row(key: str, row: dict[str, Any]) -> None:
    assert row["image"] == f"vllm/vllm-openai:v{key}"
    assert row["source"] == f"https://pypi.org/project/vllm/{key}/"
    assert row["cuda_source"].startswith(row["source"])
    assert re.fullmatch(r"\d+\.\d+", row["cuda"])
    assert VERSION.fullmatch(row["torch"])
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.post\d+)?", row["flashinfer"])
    assert re.fullmatch(r">=3\.\d+,<3\.\d+", row["python"])
    date.fromisoformat(row["date"])


def test_later_releases_have_later_dates() -> None:
    dates = [row["date"] for _, row in rows("releases")]
    assert dates == sorted(dates)


def test_cuda_13_asks_for_a_580_driver() -> None:
    assert {(row["cuda"], row["min_driver"]) for _, row in rows("releases")} == {("13.0", "580.65.06")}


def test_no_image_is_named_by_a_digest_that_nobody_read() -> None:
    for name in HAND_WRITTEN:
        assert "sha256:" not in DATA.joinpath(f"{name}.toml").read_text("utf-8")


def test_every_flag_table_belongs_to_a_release() -> None:
    folder = DATA.joinpath("vllm")
    if not folder.is_dir():
        pytest.skip("no flag tables yet")
    tables = {m[0] for entry in folder.iterdir() if (m := VERSION.match(entry.name))}
    if not tables:
        pytest.skip("no flag tables yet")
    assert tables <= set(RELEASES)
    # The releases that the built-in configs and the rehearsal stand on.
    assert {"0.20.0", "0.25.1", "0.28.0", "0.32.0", "0.33.0"} <= tables


def test_caches_do_not_share_a_variable_or_a_folder() -> None:
    for field in ("name", "variable", "directory"):
        values = [row[field] for _, row in rows("caches")]
        assert len(set(values)) == len(values), field


@pytest.mark.parametrize(("key", "row"), [pytest.param(k, r, id=k) for k, r in rows("caches")])
def test_cache_row(key: str, row: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", row["variable"])
    # One path part: it is joined to our mount, and nothing may climb out of it.
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row["directory"])
    assert len(row["why"]) > 20


def test_a_flashinfer_cache_says_that_the_library_appends_its_own_path() -> None:
    why = {row["variable"]: row["why"] for _, row in rows("caches")}
    assert ".cache/flashinfer" in why["FLASHINFER_WORKSPACE_BASE"]
