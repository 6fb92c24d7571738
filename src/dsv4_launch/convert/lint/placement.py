"""Whether the GPUs that a launch gets can hold its layout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.convert.imports.importer import Imported
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Fault

_INDICES = re.compile(r"\d+(?:,\d+)*")
# With one of these some ranks run elsewhere, or are started by somebody else.
_ELSEWHERE = (
    "nnodes", "node_rank", "headless", "data_parallel_size_local", "data_parallel_rank", "data_parallel_start_rank",
    "data_parallel_address", "data_parallel_external_lb", "data_parallel_hybrid_lb",
)  # fmt: skip
_SIZES = (("parallel", "tensor"), ("parallel", "data"), ("parallel", "pipeline"))


def placement(launch: Launch, imported: Imported, gpu: str | None) -> Iterator[Fault]:
    """What is wrong with the GPUs: a type that cannot serve the model, too few for the ranks, more than a node has."""
    kind = gpus()[gpu] if gpu is not None else None
    known = kind if imported.variant is not None else None
    if known is not None and known.unsupported:
        yield Fault("gpu-unsupported", 0, 0, f"{known.title} cannot serve this model: {known.unsupported}")
    ranks = _ranks_here(imported)
    span = imported.at.get("parallel.tensor", imported.at.get("parallel.data", launch.span))
    shown = _shown(imported)
    if shown is not None and ranks > shown:
        yield Fault("layout", *span, f"the layout needs {ranks} GPUs; the server is shown {shown}")
    elif known is not None and known.gpus_per_node and ranks > known.gpus_per_node and known.arch != "cpu":
        said = f"the layout needs {ranks} GPUs; a node has {known.gpus_per_node} {known.title}"
        yield Fault("layout", *span, said)


def _ranks_here(imported: Imported) -> int:
    """How many ranks run where the command does; 0 where that is not known."""
    engine: Any = imported.data.get("engine", {})
    if imported.engine.open_ended or engine.get("distributed_executor_backend") not in (None, "mp", "uni"):
        return 0
    said = {name: engine[name] for name in _ELSEWHERE if engine.get(name) is not None}
    if any(value is not False and (name, value) != ("nnodes", 1) for name, value in said.items()):
        return 0
    ranks = 1
    for table, name in _SIZES:
        ranks *= imported.data.get(table, {}).get(name, 1)
    return ranks


def _shown(imported: Imported) -> int | None:
    """How many GPUs the server is shown: by the container, by CUDA's variable; None where nobody says."""
    named = imported.data.get("gpus")
    visible = str(imported.data.get("env", {}).get("CUDA_VISIBLE_DEVICES", ""))
    counts = [len(named)] if isinstance(named, list) else []
    counts += [visible.count(",") + 1] if _INDICES.fullmatch(visible) else []
    return min(counts, default=None)
