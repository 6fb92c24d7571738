"""The command line of ``vllm bench serve`` for one point, and what its output tells while it runs.

Every word used here is in the client of each release from 0.20.0 to 0.33.0 (``vllm/benchmarks/serve.py``,
``vllm/benchmarks/datasets/datasets.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dsv4_launch.bench.results import Planned, Slo, Workload

# Without --detailed a point's result is kept in detail up to so many output tokens: about 30 bytes each.
DETAILED_TOKENS: Final = 250_000
# So far from the length that was asked for, a prompt is of another length: a chat template alone adds some tokens.
INPUT_SHARE: Final = 0.1
MAIN_STARTS: Final = "Starting main benchmark run"
WARMING: Final = "Warming up with"
_BAR: Final = re.compile(r"\|\s*(\d+)/(\d+) \[")
_ERROR: Final = re.compile(r"^Error \d+: (.*)$")
# What a client without its tokenizer or its vLLM says last (transformers/utils/hub.py, tokenization_utils_base.py;
# huggingface_hub/utils/_validators.py; Python).
_ADVICE: Final = (
    (
        re.compile(
            r"connect to 'https?://\S+' to load|is not a (?:local|valid) (?:folder|model)|Can't load tokenizer"
            r"|HFValidationError|Repo id must|LocalEntryNotFoundError|OfflineModeIsEnabled"
        ),
        "It found no tokenizer, and fetches none: --tokenizer names the model's folder, as the client sees it.",
    ),
    (
        re.compile(r"No module named '?vllm\b"),
        "It has no vLLM: --client-python names a Python that has it, --client-image an image.",
    ),
)
# The client needs no Hub, no proxy and no GPU; the name is vLLM's for the key of the endpoint.
KEY_VARIABLE: Final = "OPENAI_API_KEY"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "NO_PROXY": "*",
    "no_proxy": "*",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What the client is told of its surroundings, as it sees them: paths may be those of a container."""

    base_url: str
    model: str
    tokenizer: str
    result_dir: str
    dataset: str = ""
    tokenizer_mode: str = ""
    trust_remote_code: bool = False


def bench_words(
    workload: Workload, planned: Planned, place: Place, slo: Slo, result: str, *, detailed: bool
) -> tuple[str, ...]:
    """The words after ``vllm``: ``bench serve …``. ``result`` is the file's name in ``place.result_dir``."""
    chat = workload.api == "chat"
    words = ["bench", "serve", "--backend", "openai-chat" if chat else "openai"]
    words += ["--endpoint", "/v1/chat/completions" if chat else "/v1/completions"]
    words += ["--base-url", place.base_url, "--model", place.model, "--tokenizer", place.tokenizer]
    if place.tokenizer_mode:
        words += ["--tokenizer-mode", place.tokenizer_mode]
    if place.trust_remote_code:
        words += ["--trust-remote-code"]
    words += _dataset(workload, place)
    words += ["--num-prompts", str(planned.num_prompts), "--max-concurrency", str(planned.concurrency)]
    words += ["--num-warmups", str(planned.warmups), "--seed", str(planned.seed)]
    if workload.ignore_eos:
        words += ["--ignore-eos"]
    if workload.temperature is not None:
        words += ["--temperature", f"{workload.temperature:g}"]
    if workload.thinking is not None:
        words += ["--extra-body", json.dumps({"chat_template_kwargs": {"thinking": workload.thinking}})]
    words += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,95,99"]
    limits = [
        f"{name}:{limit:g}"
        for name, limit in (("ttft", slo.ttft_ms), ("tpot", slo.tpot_ms), ("e2el", slo.e2e_ms))
        if limit
    ]
    words += ["--goodput", *limits] if limits else []
    words += ["--save-result", "--result-dir", place.result_dir, "--result-filename", result]
    return (*words, "--save-detailed") if detailed else tuple(words)


def _dataset(workload: Workload, place: Place) -> list[str]:
    length = str(workload.output_len)
    if workload.dataset_format == "sharegpt":
        own = ["--sharegpt-output-len", length] if workload.output_len else []
        return ["--dataset-name", "sharegpt", "--dataset-path", place.dataset, *own]
    if workload.dataset_format == "custom":
        words = ["--dataset-name", "custom", "--dataset-path", place.dataset]
        words += ["--custom-output-len", length if workload.output_len else "-1"]
        # A chat endpoint applies the template itself.
        return [*words, "--skip-chat-template"] if workload.api == "chat" else words
    shared = round(workload.input_len * workload.prefix_ratio)
    words = ["--dataset-name", "random", "--random-input-len", str(workload.input_len - shared)]
    words += ["--random-output-len", length]
    return [*words, "--random-prefix-len", str(shared)] if shared else words


def in_detail(workload: Workload, planned: Planned, wanted: bool | None) -> bool:
    """Whether the times of each single token are kept: as asked, else where they are few."""
    return planned.num_prompts * workload.output_len <= DETAILED_TOKENS if wanted is None else wanted


def bar(text: str) -> tuple[int, int] | None:
    """Done and all of the client's progress bar, from the last one in a piece of its output."""
    found = _BAR.findall(text)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def said_errors(lines: tuple[str, ...] | list[str], *, longest: int = 200) -> list[str]:
    """What failed requests said, from the client's output: at most ten, as it prints them."""
    return [found.group(1).strip()[:longest] for line in lines if (found := _ERROR.match(line))]


def last_words(lines: tuple[str, ...] | list[str]) -> str:
    """Why the client gave up, from its output: the last line of its traceback, or what docker said."""
    useful = [line.strip() for line in lines if line.strip() and not _BAR.search(line)]
    errors = [line for line in useful if re.match(r"docker: |[\w.]*(Error|Exception|Exit)\b", line)]
    return (errors or useful or ["it said nothing"])[-1][:400]


def advice(last: str) -> str:
    """What to do about a client that gave up with these last words ("": they say it themselves)."""
    return next((fix for pattern, fix in _ADVICE if pattern.search(last)), "")


def short_outputs(workload: Workload, data: Mapping[str, Any]) -> int:
    """Output tokens that are missing although each completed request was to have a fixed number of them.

    A release may count a stream that broke off as completed; then this is not 0.
    """
    if not (workload.ignore_eos and workload.output_len):
        return 0
    return max(0, int(data.get("completed", 0)) * workload.output_len - int(data.get("total_output_tokens", 0)))


def other_input(workload: Workload, data: Mapping[str, Any]) -> float | None:
    """Tokens of a prompt as the server counted them, where that is not what was asked for; None: it is, or unknown.

    A chat template adds tokens, and the text of random tokens is not always encoded back into as many.
    """
    completed, tokens = int(data.get("completed") or 0), int(data.get("total_input_tokens") or 0)
    if not (workload.dataset_format == "random" and workload.input_len and completed and tokens):
        return None
    mean = tokens / completed
    return mean if abs(mean - workload.input_len) > INPUT_SHARE * workload.input_len else None
