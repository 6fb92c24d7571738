"""Every pattern against what releases really say: texts that a script took from their sources, never typed here.

tests/recorded/messages.json comes from scripts/extract_messages.py; elsewhere.toml names whose words the others are.
"""

from __future__ import annotations

import json
import re
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.catalog.releases import releases
from dsv4_launch.plan.explain_log import explain_log
from dsv4_launch.run.start.stages import Stage, advance, patterns, read

RECORDED = Path(__file__).parents[2] / "recorded"
MESSAGES = json.loads((RECORDED / "messages.json").read_text())
ELSEWHERE = tomllib.loads((RECORDED / "elsewhere.toml").read_text())["origin"]
PIECES = sorted({piece for advisory in advisories() for pieces in advisory.log for piece in pieces})
# vLLM goes on after these; each as it is logged, behind the name of its file.
LOGGED = [
    f"{row['kind'].upper()} 11-25 16:21:00 [{place.rpartition('/')[2]}] {row['text']}"
    for row in MESSAGES["texts"]
    for span, place in row["at"].items()
    if row["kind"] in ("debug", "info", "log", "warning") and span[0].isdigit()
]
FOREIGN = [piece for origin in ELSEWHERE for piece in origin["pieces"]]
# uvicorn's, whose version no release of vLLM pins.
NOT_VLLM = {"up"}
# Printed only where a release tunes kernels; FlashInfer's own words are older.
LATER = {"autotune": "0.22.0"}


def bar(title: str) -> str:
    """A progress bar with this title, drawn by tqdm itself."""
    screen = StringIO()
    with tqdm(total=7, desc=title, file=screen) as shown:
        shown.update(2)
        shown.refresh()
    return screen.getvalue()


def lines(release: str) -> list[tuple[str, str]]:
    """What a release says, with its kind."""
    return [
        (row["kind"], bar(row["text"]) if row["kind"] == "bar" else row["text"])
        for row in MESSAGES["texts"]
        if any(_holds(release, span) for span in row["at"])
    ]


def _holds(release: str, span: str) -> bool:
    known = MESSAGES["releases"]
    first, _, last = span.partition("..")
    return first in known and known.index(first) <= known.index(release) <= known.index(last or first)


def shown(piece: str) -> bool:
    texts = (row["text"] for row in MESSAGES["texts"])
    return any(re.search(piece[3:], text) if piece.startswith("re:") else piece in text for text in texts)


def test_the_texts_are_of_every_release() -> None:
    assert MESSAGES["releases"] == sorted(releases(), key=MESSAGES["releases"].index)
    assert all(
        re.fullmatch(r"[\w./-]+(?:\.py:\d+|\.so[.\d]*)", place)
        for row in MESSAGES["texts"]
        for place in row["at"].values()
    )


@pytest.mark.parametrize("release", MESSAGES["releases"])
def test_every_stage_is_told_by_every_release(release: str) -> None:
    said = lines(release)
    for key in {pattern.key for pattern in patterns()} - NOT_VLLM:
        if release in MESSAGES["releases"][: MESSAGES["releases"].index(LATER.get(key, "0.20.0"))]:
            continue
        assert any(p.expression.search(text) for _, text in said for p in patterns() if p.key == key), key


@pytest.mark.parametrize("release", MESSAGES["releases"])
def test_a_start_in_the_releases_own_words_goes_through_its_stages_in_order(release: str) -> None:
    stage, seen = Stage(), list[str]()
    for pattern in patterns():
        for text in [t for _, t in lines(release) if pattern.expression.search(t)][:1]:
            stage = advance(stage, f"(Worker pid=7) INFO 11-25 10:00:00 [x.py:1] {text}")
            seen += [stage.key] if stage.key not in seen else []
    order = list(dict.fromkeys(pattern.key for pattern in patterns()))
    assert seen == [key for key in order if key in seen]
    assert len(seen) >= 12


def test_graphs_that_were_a_trial_are_taken_back() -> None:
    """The second model runner captures graphs once before it lays out the KV cache, in the same words."""
    title = next(row["text"] for row in MESSAGES["texts"] if row["text"] == "Capturing CUDA graphs")
    trial = read([bar(f"{title} (PIECEWISE)"), bar(f"{title} (FULL)")])
    assert trial.key == "graphs"
    kv = advance(trial, next(r["text"] for r in MESSAGES["texts"] if "Available KV cache memory" in r["text"]))
    assert (kv.key, kv.total) == ("kv-cache", 0)
    again = advance(kv, bar(f"{title} (PIECEWISE)"))
    assert (again.key, again.done, again.total) == ("graphs", 2, 7)


@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_of_a_log_pattern_is_somebodys_words(piece: str) -> None:
    assert shown(piece) or FOREIGN.count(piece) == 1, "extract it, or say in elsewhere.toml whose words it is"


def test_whose_words_they_are_is_told_once_and_with_an_address() -> None:
    assert sorted(FOREIGN) == sorted(set(FOREIGN))
    assert [piece for piece in FOREIGN if piece not in PIECES or shown(piece)] == []
    assert all(origin["url"].startswith("https://") for origin in ELSEWHERE)


RAISED = [row["text"] for row in MESSAGES["texts"] if row["kind"] in ("raise", "native") and explain_log([row["text"]])]
_stamps = st.sampled_from(
    [
        "", "2026-11-25T16:21:00.123456789Z ", "2026-11-25T16:21:00Z stderr F ", "Nov 25 16:21:00 node7 docker[812]: ",
        "[  812.123456] ", "vllm-0  | ", "\x1b[36mvllm-1  |\x1b[0m ", "flash-b200-0 vllm ", "[rank3]: ", "[default7]:",
    ]
)  # fmt: skip
_processes = st.sampled_from(
    [
        "", "(EngineCore_DP0 pid=271) ", "(Worker_TP3_EP3 pid=99999) ERROR 11-25 16:21:00 [multiproc_executor.py:822] ",
        "\x1b[0;36m(APIServer pid=1)\x1b[0;0m ERROR 11-25 16:21:00 [core.py:936] ", "ERROR:    ", "ValueError: ",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(RAISED), _stamps, _processes, st.sampled_from(["", "\x1b[0m", "\r", " [repeated 3x]"]))
def test_what_stands_before_a_message_does_not_hide_it(text: str, stamp: str, process: str, tail: str) -> None:
    plain, dressed = explain_log([text]), explain_log(["INFO fine", f"{stamp}{process}{text}{tail}"])
    assert [match.advisory.id for match in plain] == [m.advisory.id for m in dressed if m.advisory.id in ids(plain)]
    assert {match.line for match in dressed if match.advisory.id in ids(plain)} == {2}


def ids(found: object) -> set[str]:
    return {match.advisory.id for match in found}  # type: ignore[attr-defined]


# Where a text stands, words of it that are not the pattern's, and what explains it.
DRAWN = [
    ("v1/engine/coordinator.py", "ZMQ addresses", "D108"),
    ("v1/engine/core.py", "front-end process", "D108"),
    ("v1/engine/utils.py", "Worker hash", "D107"),
    ("v1/engine/utils.py", "See root cause above", "D139"),
    ("v1/executor/multiproc_executor.py", "shutting down executor", "D139"),
    ("v1/worker/gpu", "ranks timed out during dispatch", "D109"),
    ("platforms/cuda.py", "Reasons", "D115"),
    ("platforms/cuda.py", "Selected backend", "D115"),
    ("config/vllm.py", "Current capability", "D116"),
    ("config/model.py", "attention heads", "D83"),
    ("engine/arg_utils.py", "evenly divide", "D83"),
    ("engine/arg_utils.py", "attention_config.backend", "D83"),
    ("fused_moe/oracle/mxfp4.py", "No MXFP4", "D136"),
    ("v1/attention/backends/cpu_attn.py", "FP8 KV cache", "D118"),
    ("model_loader/default_loader.py", "any model weights", "D124"),
    ("triton/runtime/errors.py", "Hardware limit", "D114"),
    ("triton/runtime/errors.py", "PTXAS", "D32"),
    ("triton/backends/nvidia/driver.py", "libcuda.so", "D68"),
    ("triton/runtime/build.py", "CC environment", "D96"),
    ("flashinfer/jit/cpp_ext.py", "Ninja", "D122"),
    ("torch/cuda/__init__.py", "spawn", "D117"),
    ("torch/_inductor/exc.py", "compiler", "D96"),
    ("libtorch_cpu.so", "while trying to connect to", "D108"),
    ("libtorch_cpu.so", "clients joined", "D108"),
    ("libtorch_cpu.so", "Did the remote server shutdown", "D112"),
    ("libtorch_cuda.so", "ProcessGroupNCCL's watchdog", "D86"),
    ("libtorch_cuda.so", "Due to the", "D86"),
    ("libtorch_cuda.so", "CUBLAS_STATUS_NOT_INIT", "D69"),
    ("libtorch_cuda.so", "CUBLAS_STATUS_EXEC", "D121"),
    ("libcudart.so", "is/are busy", "D119"),
    ("libcudart.so", "unsupported toolchain", "D54"),
    ("libcudart.so", "over nvlink", "D67"),
    ("libcudart.so", "invalid device ordinal", "D68"),
    ("libcudart.so", "kernel image is invalid", "D95"),
    ("libcudart.so", "resources requested", "D114"),
    ("libcudart.so", "during capture", "D120"),
    ("libcudart.so", "stream is capturing", "D120"),
    ("libnccl.so", "Got completion", "D100"),
    ("libnccl.so", "async fatal event", "D100"),
    ("libnccl.so", "Call to ibv_modify_qp", "D100"),
    ("libnccl.so", "no device found", "D102"),
    ("libnccl.so", "Bootstrap", "D102"),
    ("libnccl.so", "both on CUDA device", "D103"),
    ("libnccl.so", "Fabric Manager", "D104"),
    ("libnccl.so", "cliqueSize", "D105"),
    ("libnccl.so", "NCCL version detected", "D85"),
    ("libnccl.so", "socketProgress", "D112"),
    ("transformers/models/auto", "Unrecognized model in", "D124"),
    ("transformers/tokenization_utils_base.py", "tokenizer for", "D124"),
    ("transformers/", "config file at", "D75"),
    ("huggingface_hub/file_download.py", "should be of size", "D125"),
    ("huggingface_hub/utils/_http.py", "Entry Not Found", "D76"),
    ("huggingface_hub/utils/_http.py", "gated repo", "D77"),
    ("tokenizers/registry.py", "No tokenizer registered", "D99"),
    ("v1/executor/ray_utils.py", "Cannot provide a placement group", "D140"),
    ("quantization/utils/fp8_utils.py", "weight quantization block_", "D144"),
    ("kv_connector/v1/nixl", "Remote NIXL agent engine ID mismatch", "D110"),
    ("v1/attention/selector.py", "Invalid attention backend for", "D115"),
    ("models/deepseek_v4/nvidia/model.py", "n_physical_experts=", "D144"),
    ("config/model.py", "Unknown quantization method", "D152"),
    ("v1/kv_offload/base.py", "hash_block_size", "D156"),
]


@pytest.mark.parametrize(("place", "words", "advisory"), DRAWN, ids=lambda value: value)
def test_what_libraries_say_is_explained_by_its_cause(place: str, words: str, advisory: str) -> None:
    drawn = [
        row["text"]
        for row in MESSAGES["texts"]
        if words in row["text"] and any(place in where for where in row["at"].values())
    ]
    assert drawn, "the script draws it no more: is it said in other words now?"
    for text in drawn:
        found = [
            match.advisory.id for match in explain_log([f"(Worker_TP3 pid=9) ERROR 11-25 [x.py:1] {text}"], gpu="b200")
        ]
        assert found[:1] == [advisory], text


def test_what_is_only_logged_is_no_failure() -> None:
    assert len(LOGGED) > 20
    for text in LOGGED:
        assert [m.advisory.id for m in explain_log([text]) if m.advisory.severity != "info"] == [], text
