"""The documents of a run directory: what was measured, on what, how, and what came of each point.

    DIR/run.json                 `Run`
    DIR/points/KEY.json          vLLM's own result of `vllm bench serve`, untouched (`dsv4_launch.bench.point` reads it)
    DIR/points/KEY.side.json     `Side`: how the point went, and what was seen beside it
    DIR/points/KEY.samples.jsonl what was scraped along, one JSON object a line

A point is over once its side file is there: it is written last, in one step. Times are ISO 8601 UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from dsv4_launch.bench.parts import Count, Figure, Part, Text
from dsv4_launch.errors import InputError, Problem

FORMAT: Final = 1
MAX_BYTES: Final = 64 * 1024 * 1024
# What to do about a point whose files are not whole.
MEASURE_AGAIN: Final = "`dsv4 bench run --resume` measures a point again whose result is not whole."
_MAX_PROBLEMS: Final = 10

KEY_PATTERN: Final = r"^c\d{4,6}-r\d{1,3}$"


class Workload(Part):
    """What is asked of the server. Lengths are tokens; 0: the data set says it.

    ``prefix_ratio`` is the share of the input that all requests have in common; ``dataset`` is "random", or the path of
    a file that ``dataset_format`` says how to read. ``thinking`` None: the server's own default.
    """

    input_len: Count = 1024
    output_len: Count = 1024
    dataset: Text = "random"
    dataset_format: Literal["random", "sharegpt", "custom"] = "random"
    dataset_sha256: Text = ""
    total_tokens: Count = 0
    requests_per_concurrency: Count = 0
    prefix_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: Count = 0
    api: Literal["chat", "completions"] = "chat"
    thinking: bool | None = None
    temperature: Figure | None = None
    ignore_eos: bool = True


class Slo(Part):
    """Service level: limits in ms that a request keeps, or 0 for none."""

    ttft_ms: Figure = 0.0
    tpot_ms: Figure = 0.0
    e2e_ms: Figure = 0.0


class Method(Part):
    """How it is measured.

    ``warmup_per_concurrency`` requests for each one in flight go before and are not counted; ``rest_s`` lies between
    points. Stop rules (0: off): the share of failed requests, a median over the SLO, a fall of total throughput below
    that of the best point so far by this share.
    """

    warmup_per_concurrency: Count = 2
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    rest_s: Figure = 5.0
    timeout_s: Figure = 0.0
    slo: Slo = Slo()
    stop_on_slo: bool = False
    stop_error_rate: Figure = 0.0
    stop_fall: Figure = 0.0


class Planned(Part):
    """A point as it is planned. ``seed`` differs from point to point: equal prompts would come from the cache."""

    key: Annotated[str, Field(pattern=KEY_PATTERN)]
    concurrency: Annotated[int, Field(ge=1)]
    repeat: Annotated[int, Field(ge=1)]
    num_prompts: Annotated[int, Field(ge=1)]
    warmups: Count = 0
    seed: Count = 0


class GpuPrint(Part):
    """One GPU of the fingerprint: no serial number, no UUID. Clocks are the highest that it may have, in MHz."""

    index: Count
    name: Text = ""
    memory_total_mib: Count | None = None
    power_limit_w: Figure | None = None
    sm_clock_max_mhz: Count | None = None
    memory_clock_max_mhz: Count | None = None


class Fingerprint(Part):
    """What a stranger needs to run the same again, and what must agree before two runs are compared ("": not known).

    ``vllm`` is the server's, as it says itself; ``client_vllm`` is that of the load generator, which ``client`` names.
    """

    dsv4: Text = ""
    vllm: Text = ""
    image: Text = ""
    image_digest: Text = ""
    target: Text = ""
    driver: Text = ""
    cuda: Text = ""
    gpus: tuple[GpuPrint, ...] = ()
    cpu: Text = ""
    cores: Count = 0
    memory_gib: Figure = 0.0
    kernel: Text = ""
    python: Text = ""
    server_argv: tuple[Text, ...] = ()
    client: Text = ""
    client_vllm: Text = ""


class Run(Part):
    """A whole run. ``url`` and ``model`` are the server's; ``config`` is the deployment's, as plain data."""

    version: Literal[1] = FORMAT
    id: Text
    created: Text
    dsv4: Text
    name: Text = ""
    note: Text = ""
    url: Text
    model: Text
    plan_digest: Text = ""
    config: Mapping[str, Any] = {}
    fingerprint: Fingerprint = Fingerprint()
    workload: Workload = Workload()
    method: Method = Method()
    points: Annotated[tuple[Planned, ...], Field(max_length=10_000)] = ()
    state: Literal["running", "complete", "stopped", "interrupted", "failed"] = "running"
    why: Text = ""


class Client(Part):
    """Whether the load generator was the limit.

    ``verdict`` "client": it was, or may have been; "unknown": it could not be watched. ``cpu`` is the share of one core
    that its event loop's thread used, ``concurrency`` the mean number of requests in flight, ``lag_*`` how late its
    event loop was (each moment weighs the same), in ms.
    """

    verdict: Literal["server", "client", "unknown"] = "unknown"
    why: tuple[Text, ...] = ()
    cpu: Figure | None = None
    concurrency: Figure | None = None
    lag_mean_ms: Figure | None = None
    lag_p99_ms: Figure | None = None
    lag_max_ms: Figure | None = None
    machine_cpu: Figure | None = None


class Server(Part):
    """The server's own view of the point, from its /metrics: gauges while it ran, histograms and counters over it."""

    running_mean: Figure | None = None
    running_max: Figure | None = None
    waiting_mean: Figure | None = None
    waiting_max: Figure | None = None
    kv_usage_mean: Figure | None = None
    kv_usage_max: Figure | None = None
    preemptions: Figure | None = None
    prefix_hit_ratio: Figure | None = None
    prompt_tokens: Figure | None = None
    generation_tokens: Figure | None = None
    requests: Figure | None = None
    ttft_mean_ms: Figure | None = None
    itl_mean_ms: Figure | None = None
    e2e_mean_ms: Figure | None = None
    queue_mean_ms: Figure | None = None


class GpuLoad(Part):
    """One GPU while the point ran: watts, MHz, degrees Celsius, and why its clock was held down."""

    index: Count
    power_mean_w: Figure | None = None
    power_max_w: Figure | None = None
    sm_clock_mean_mhz: Figure | None = None
    sm_clock_min_mhz: Figure | None = None
    memory_clock_mean_mhz: Figure | None = None
    temperature_max_c: Figure | None = None
    utilization_mean: Figure | None = None
    throttled: tuple[Text, ...] = ()


class Side(Part):
    """How a point went. ``argv`` is the client's command; ``errors`` counts failed requests by what they said."""

    version: Literal[1] = FORMAT
    key: Annotated[str, Field(pattern=KEY_PATTERN)]
    status: Literal["ok", "failed", "interrupted"]
    why: Text = ""
    argv: tuple[Text, ...] = ()
    started: Text
    finished: Text
    seconds: Figure
    client: Client = Client()
    server: Server | None = None
    gpus: tuple[GpuLoad, ...] = ()
    errors: Mapping[str, Count] = {}
    notes: tuple[Text, ...] = ()


Document = TypeVar("Document", Run, Side)


def parse_run(text: str | bytes, where: str) -> Run:
    """The run that `dump` wrote. Raises InputError: not whole, not a run, or of another version of the format."""
    return _parse(Run, text, where, "It was cut while it was copied, or changed by hand: take it from its origin.")


def parse_side(text: str | bytes, where: str) -> Side:
    """The side file of a point. Raises InputError as `parse_run` does."""
    return _parse(Side, text, where, MEASURE_AGAIN)


def dump(document: Run | Side) -> str:
    """The document as text: equal documents give equal text."""
    return json.dumps(document.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of both documents: of run.json itself, and of side files under ``$defs/Side``."""
    run, side = (model.model_json_schema(ref_template="#/$defs/{model}") for model in (Run, Side))
    parts = {**side.pop("$defs", {}), **run.pop("$defs", {}), "Side": side}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A benchmark run of dsv4 (run.json)",
        **run,
        "$defs": dict(sorted(parts.items())),
    }


def load_json(text: str | bytes, where: str, fix: str = "") -> dict[str, Any]:
    """A JSON object. Raises InputError that says where it breaks off; ``fix``: what to do then."""
    if len(text) > MAX_BYTES:
        raise InputError(f"{len(text)} bytes are more than any result of a point has.", where=where, code="bench-json")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "It is empty" if not text.strip() else f"It is not whole JSON: {error}"
        raise InputError(f"{what}.", where=where, fix=fix, code="bench-json") from None
    if not isinstance(data, dict):
        raise InputError("It holds no JSON object.", where=where, code="bench-json")
    return data


def _parse(model: type[Document], text: str | bytes, where: str, fix: str) -> Document:
    data = load_json(text, where, fix)
    version = data.get("version")
    if version != FORMAT:
        said = "does not say its version" if version is None else f"is of version {str(version)[:20]}"
        raise InputError(
            f"It {said}; this dsv4 reads version {FORMAT} of run directories.",
            where=where,
            fix="Read it with the dsv4 that wrote it (its version stands in run.json).",
            code="bench-version",
        )
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_PROBLEMS]
    raise InputError(
        *(
            Problem("bench-document", f"{problem['msg']}.", f"{where}: {'.'.join(map(str, problem['loc']))}")
            for problem in found
        )
    )
