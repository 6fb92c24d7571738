"""Which advisories a config meets; and mending a config."""

from __future__ import annotations

import pytest

from dsv4_launch.catalog.advisories import config_advisories
from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.config.load import Loaded, load
from dsv4_launch.errors import InputError
from dsv4_launch.plan.advise import matching
from dsv4_launch.plan.conditions import values_of
from dsv4_launch.plan.lookup import facts_of, look_up
from dsv4_launch.plan.parts import repo_of
from dsv4_launch.plan.repair import repair
from dsv4_launch.plan.resolve import examine_config, resolve
from dsv4_launch.plan.settings import settle, written

BASE = 'name: x\nmodel: flash\nvllm: "0.22.0"\ngpu: b200\n'
MTP = "engine.speculative_config={method: mtp, num_speculative_tokens: 2}"
DSPARK = "engine.speculative_config={method: dspark, num_speculative_tokens: 5}"
MEGA = "engine.moe_backend=deep_gemm_mega_moe"
EP = "parallel.expert=true"
TP8 = "parallel.tensor=8"
ALLOC = "env.PYTORCH_CUDA_ALLOC_CONF='expandable_segments:True'"
LMCACHE = "engine.kv_transfer_config={kv_connector: LMCacheConnectorV1, kv_role: kv_both}"
PUBLIC = "server.host=0.0.0.0"
FULL = "engine.compilation_config={cudagraph_mode: FULL}"


def at(version: str) -> str:
    return f"vllm='{version}'"


def ids(loaded: Loaded) -> list[str]:
    known, problems = look_up(loaded.config, loaded.origins.where)
    assert known is not None, problems
    facts = facts_of(loaded.config, known)
    explicit = written(loaded.config, loaded.origins.where)
    settled, _ = settle(explicit, facts, {"model.repo": repo_of(loaded.config, known.variant)})
    return [match.advisory.id for match in matching(values_of(settled, facts), facts)]


def shown(*overrides: str) -> list[str]:
    return ids(load(BASE, "c.yaml", overrides))


# What each built-in config deserves, and nothing else.
DESERVED = {
    # superseded by 0.20.2; 65536 batched tokens; no memory saved by the FP4 indexer; typed tool arguments; remote code
    "flash-b200": ["D36", "D55", "D56", "D57", "D61"],
    "flash-b200-0.33": [],
    "flash-0731-b200": ["D57"],
    "flash-b200-dp8": ["D57"],
    "flash-h200": [],
    "flash-nvfp4-b200": [],
    "rehearsal-cpu": [],
}


def test_every_built_in_config_has_its_verdict():
    assert set(DESERVED) == set(builtins())


@pytest.mark.parametrize("name", DESERVED)
def test_a_built_in_config_gets_the_warnings_that_it_deserves(name):
    assert ids(load_config(name)) == DESERVED[name]


def test_a_plan_warns_with_the_line_and_leaves_out_what_is_only_good_to_know():
    notices = [n for n in resolve(load_config("flash-b200")).notices if n.kind == "warning"]
    assert [n.code for n in notices] == ["D36", "D55", "D56", "D57"]
    by_id = {n.code: n for n in notices}
    text = (builtins()["flash-b200"]).read_text("utf-8").splitlines()
    line = int(by_id["D56"].source.rpartition(":")[2])
    assert text[line - 1].strip() == "max_num_batched_tokens: 65536"


# A config that shows it, and the change with which it does not.
CASES = {
    "D01": ([at("0.30.0"), "engine.attention_config={use_fp4_indexer_cache: true}"], [at("0.29.0")]),
    "D05": (["gpu=h200", "engine.indexer_cache_dtype=fp4"], ["gpu=b300"]),
    "D06": ([MEGA], [EP]),
    "D07": ([at("0.20.0"), MEGA], [EP]),
    "D10": ([at("0.23.0"), "gpu=b300"], ["gpu=b200"]),
    "D11": ([at("0.28.0"), TP8, EP], ["env.VLLM_USE_V2_MODEL_RUNNER='0'"]),
    "D12": ([at("0.23.0"), "gpu=h200", TP8], [at("0.22.0")]),
    "D13": ([at("0.20.0"), MTP], [at("0.20.1")]),
    "D14": ([at("0.24.0"), "gpu=rtx-pro-6000", MTP], ["gpu=b200"]),
    "D15": (["gpu=h200", DSPARK], [at("0.25.0")]),
    "D16": ([at("0.29.0"), "model=flash-0731", DSPARK, EP, "parallel.data=8"], ["parallel.data=1"]),
    "D17": ([at("0.26.0"), "model=flash-0731", "gpu=h200"], ["model=flash"]),
    "D19": ([at("0.27.1"), FULL, "container.image='vllm/vllm-openai:v0.27.1-cu129'"], [at("0.27.0"), "container={}"]),
    "D20": ([at("0.26.0"), "engine.max_num_batched_tokens=65536"], ["engine.async_scheduling=false"]),
    "D23": ([at("0.21.0"), "engine.gpu_memory_utilization=0.95"], ["engine.gpu_memory_utilization=0.94"]),
    "D25": (["engine.gpu_memory_utilization=0.97"], ["engine.gpu_memory_utilization=0.96"]),
    "D26": ([at("0.23.0"), LMCACHE, "engine.max_num_batched_tokens=64K"], ["engine.max_num_batched_tokens=16K"]),
    "D27": ([LMCACHE, ALLOC], ["engine.kv_transfer_config={kv_connector: NixlConnector, kv_role: kv_both}"]),
    "D29": (["start.timeout_s=600"], ["start.timeout_s=900"]),
    "D30": (["container.caches=false"], ["target={type: native}"]),
    "D34": ([MTP, "engine.tool_call_parser=deepseek_v4"], [at("0.29.0")]),
    "D36": ([at("0.20.2"), "engine.enable_auto_tool_choice=true"], [at("0.21.0")]),
    "D38": ([at("0.28.0")], ["engine.default_chat_template_kwargs={thinking: true}"]),
    "D41": ([at("0.27.0"), "engine.nnodes=2"], ["engine.disable_custom_all_reduce=true"]),
    "D42": (["gpus=[0, 1]", "parallel.tensor=2"], ["gpus=all"]),
    "D47": (["container.ipc=private"], ["container.shm_size=16g"]),
    "D49": ([at("0.24.0"), "gpu=rtx-pro-6000"], ["env.VLLM_USE_DEEP_GEMM='0'"]),
    "D50": (["gpu=gb200"], ["engine.enable_flashinfer_autotune=false"]),
    "D51": ([at("0.20.1"), "gpu=h200", MTP], ["env.VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS='0'"]),
    "D53": ([at("0.20.0"), "gpu=h100", TP8], [EP]),
    "D55": ([at("0.20.1")], [at("0.20.2")]),
    "D56": (["engine.max_num_batched_tokens=65536"], ["engine.max_num_batched_tokens=8k"]),
    "D57": (["engine.indexer_cache_dtype=fp4"], [at("0.27.0")]),
    "D58": ([PUBLIC], ["server.api_key_env=KEY"]),
    "D59": ([PUBLIC, "server.api_key_env=KEY"], ["server.host=localhost"]),
    "D60": ([at("0.20.0"), "engine.max_model_len=900000"], ["engine.max_model_len=900096"]),
    "D61": (["engine.trust_remote_code=true"], ["engine.trust_remote_code=false"]),
    "D62": (["engine.reasoning_parser=deepseek_v4", "engine.max_model_len=128k"], ["engine.max_model_len=auto"]),
    "D63": ([LMCACHE], ["engine.disable_hybrid_kv_cache_manager=false"]),
    "D64": ([at("0.23.0"), "engine.compilation_config={mode: 3}"], [at("0.22.1")]),
    "D65": ([at("0.25.1"), "engine.attention_config={indexer_kv_dtype: mxfp4}"], [at("0.28.0")]),
    "D66": ([MEGA, EP, "engine.enable_eplb=true"], [at("0.23.0")]),
    "D91": ([at("0.20.1"), MTP], [at("0.20.2")]),
}


def test_every_advisory_that_a_config_can_show_has_a_case():
    assert set(CASES) == {advisory.id for advisory in config_advisories()}


@pytest.mark.parametrize("advisory", CASES)
def test_shown_and_not_shown(advisory):
    shows, hides = CASES[advisory]
    assert advisory in shown(*shows)
    assert advisory not in shown(*shows, *hides)


def test_a_rehearsal_hears_of_its_endpoint_only():
    rehearsal = ["gpu=cpu", at("0.32.0"), "engine.max_num_batched_tokens=65536", "start.timeout_s=600"]
    assert shown(*rehearsal) == []
    assert shown(*rehearsal, PUBLIC) == ["D58"]


def test_the_worst_comes_first():
    assert shown(at("0.20.0"), MTP, "engine.trust_remote_code=true") == ["D13", "D55", "D61"]


def test_the_reference_copied_is_mended_with_its_comments():
    text = builtins()["flash-b200"].read_text("utf-8").replace("engine:\n", "engine:  # the engine\n")
    mended, changes = repair(text, "c.yaml")
    assert [(c.path, c.old, c.new, c.code) for c in changes] == [
        ("vllm", "0.20.0", "0.20.2", "D55"),
        ("engine.max_num_batched_tokens", 65536, 8192, "D56"),
    ]
    assert mended == text.replace('"0.20.0"', '"0.20.2"').replace("65536", "8192")
    assert repair(mended, "c.yaml") == (mended, ())


def test_an_image_that_is_named_decides_the_release():
    text = BASE.replace("0.22.0", "0.20.0") + "container:\n  image: vllm/vllm-openai@sha256:" + "0" * 64 + "\n"
    assert repair(text, "c.yaml") == (text, ())


def test_a_flag_that_is_gone_gets_its_new_name_and_leaves_no_empty_table():
    text = BASE.replace("0.22.0", "0.33.0") + "engine:\n  attention_config:\n    use_fp4_indexer_cache: true\n"
    mended, changes = repair(text + "  default_chat_template_kwargs: {thinking: true}\n", "c.yaml")
    assert [c.code for c in changes] == ["D01", "D01"]
    assert "attention_config" not in mended
    assert "indexer_cache_dtype: fp4" in mended
    assert examine_config(load(mended, "c.yaml"))[1] == []


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("engine: {block_size: 128}", "block-size-256"),
        ("engine: {moe-backend: deep_gemm_mega_moe}", "mega-moe-needs-ep"),
        ("engine: {enable_auto_tool_choice: true}", "tool-choice-needs-parser"),
        ("engine: {enable_lora: true}", "lora-needs-0.29"),
    ],
)
def test_a_broken_constraint_is_mended(lines, code):
    text = BASE + lines + "\n"
    assert code in [problem.code for problem in examine_config(load(text, "c.yaml"))[1]]
    mended, changes = repair(text, "c.yaml")
    assert [c.code for c in changes] == [code]
    assert examine_config(load(mended, "c.yaml"))[1] == []
    assert repair(mended, "c.yaml") == (mended, ())


@pytest.mark.parametrize("advisory", CASES)
def test_mending_ends_and_breaks_nothing(advisory):
    lines = "".join(f"# {override}\n" for override in CASES[advisory][0])
    from dsv4_launch.config.load import dump

    text = lines + dump(load(BASE, "c.yaml", CASES[advisory][0]).config)
    before = [problem.code for problem in examine_config(load(text, "c.yaml"))[1]]
    mended, _ = repair(text, "c.yaml")
    assert mended.startswith(lines)
    after = [problem.code for problem in examine_config(load(mended, "c.yaml"))[1]]
    assert set(after) <= set(before)
    assert repair(mended, "c.yaml") == (mended, ())


def test_what_is_no_config_is_not_mended():
    with pytest.raises(InputError):
        repair("name: [", "c.yaml")
