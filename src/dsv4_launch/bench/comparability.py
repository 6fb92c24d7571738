"""Whether two runs may be compared at all, and in what else they differ that a reader must know."""

from __future__ import annotations

from dataclasses import dataclass

from dsv4_launch.bench.draw.described import gpu_names
from dsv4_launch.bench.results import Run


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same. ``breaks``: the numbers are then of different things, not better or worse."""

    what: str
    before: str
    after: str
    breaks: bool

    def __str__(self) -> str:
        return f"{self.what}: {self.before or 'not known'} -> {self.after or 'not known'}"


# Of the workload, the seed and where a data set lies do not make it another one.
_WORKLOAD = (
    "input_len", "output_len", "dataset_format", "dataset_sha256", "total_tokens", "requests_per_concurrency",
    "prefix_ratio", "api", "thinking", "temperature", "ignore_eos",
)  # fmt: skip


def differences(before: Run, after: Run) -> list[Difference]:
    """What differs, the breaking ones first. What one of the runs does not know is no difference.

    Another workload or model is another question. Another GPU, vLLM, image, driver or server command may be what the
    comparison is about: it is told.
    """
    found: list[Difference] = []

    def look(what: str, a: object, b: object, *, breaks: bool = False, empty: bool = False) -> None:
        if a != b and (empty or (a not in ("", None, 0, ()) and b not in ("", None, 0, ()))):
            found.append(Difference(what, _text(a), _text(b), breaks))

    for name in _WORKLOAD:
        a, b = getattr(before.workload, name), getattr(after.workload, name)
        look(f"workload.{name}", a, b, breaks=True, empty=name != "dataset_sha256")
    look("model", before.model, after.model, breaks=True)
    look("SLO", _slo(before), _slo(after), breaks=False)
    one, other = before.fingerprint, after.fingerprint
    look("GPUs", gpu_names(one.gpus), gpu_names(other.gpus))
    look("vLLM", one.vllm, other.vllm)
    look("image digest", one.image_digest, other.image_digest)
    look("driver", one.driver, other.driver)
    look("CUDA", one.cuda, other.cuda)
    look("target", one.target, other.target)
    look("CPU", one.cpu, other.cpu)
    look("cores", one.cores, other.cores)
    look("kernel", one.kernel, other.kernel)
    look("load generator", one.client, other.client)
    look("load generator's vLLM", one.client_vllm, other.client_vllm)
    look("server command", one.server_argv, other.server_argv)
    look("plan digest", before.plan_digest, after.plan_digest)
    look("warm-up", before.method.warmup_per_concurrency, after.method.warmup_per_concurrency, empty=True)
    return sorted(found, key=lambda difference: not difference.breaks)


def same_hardware(before: Run, after: Run) -> bool:
    """Whether the same kind and number of GPUs served, as far as both tell."""
    names = [sorted(gpu.name for gpu in run.fingerprint.gpus) for run in (before, after)]
    return names[0] == names[1] or not all(names)


def _slo(run: Run) -> str:
    slo = run.method.slo
    return f"TTFT {slo.ttft_ms:g}, TPOT {slo.tpot_ms:g}, E2E {slo.e2e_ms:g} ms"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)
