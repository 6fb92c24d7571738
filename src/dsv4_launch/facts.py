"""What is known about one host: a frozen value that prints as JSON, is recorded, replayed and compared.

Every part is optional. `None` means "could not look" (or "was not asked"); `problems` says why, under the part's dotted
path. A part that was looked at and found absent is never `None`: no GPU is an empty tuple, no such image is `null` in
its mapping. That difference keeps an unread fact from ever counting as a passed check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json as parse_json
from pydantic_core import to_json

from dsv4_launch.errors import InputError, Problem

SCHEMA_VERSION: Final = 1
MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024
MAX_PROBLEMS: Final = 20

Text = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
EngineState = Literal["ready", "down", "denied", "error"]


class Part(BaseModel):
    """A frozen, strictly typed piece of the facts."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True, hide_input_in_errors=True
    )


class GpuProcess(Part):
    """A process that holds memory of a GPU. `used_mib` is None where the driver does not tell (containers, MIG)."""

    pid: Count
    name: Text | None = None
    used_mib: Count | None = None


class Gpu(Part):
    """One GPU as NVML names and numbers it (PCI order). A field that could not be read is None."""

    index: Annotated[int, Field(ge=0, le=1024)]
    name: Text | None = None
    uuid: Text | None = None
    memory_total_mib: Count | None = None
    memory_free_mib: Count | None = None
    compute_capability: Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,3}$")] | None = None
    mig_mode: Literal["enabled", "disabled", "unsupported"] | None = None
    processes: tuple[GpuProcess, ...] | None = None
    persistence_mode: bool | None = None
    fabric_state: Literal["not supported", "not started", "in progress", "completed"] | None = None
    fabric_status: Text | None = None


class Driver(Part):
    """The NVIDIA driver, and the newest CUDA that it supports ("13.0")."""

    version: Text | None = None
    cuda_version: Text | None = None


class Image(Part):
    """A local image. `env` holds only the names that decide about GPUs and CUDA, never what else an image may carry."""

    id: Text
    size_bytes: Count | None = None
    architecture: Text | None = None
    env: Mapping[str, Text] = {}
    repo_digests: tuple[Text, ...] = ()


class Container(Part):
    """A container of an asked name. `labels` holds only our own."""

    id: Text
    state: Text
    image: Text | None = None
    labels: Mapping[str, Text] = {}
    host_ports: tuple[Annotated[int, Field(ge=0, le=65535)], ...] = ()


class Docker(Part):
    """The docker command line and the engine it talks to. All after `detail` is None unless `engine` is ready.

    `published`: which container holds a published port ("0.0.0.0:8000"), since a listening proxy does not say.
    """

    cli_path: Text | None = None
    context: Text | None = None
    endpoint: Text | None = None
    engine: EngineState
    detail: Text | None = None
    server_version: Text | None = None
    api_version: Text | None = None
    runtimes: tuple[Text, ...] | None = None
    default_runtime: Text | None = None
    cdi_spec_dirs: tuple[Text, ...] | None = None
    cdi_devices: tuple[Text, ...] | None = None
    gpu_hook_path: Text | None = None
    data_root: Text | None = None
    storage_driver: Text | None = None
    cgroup_version: Text | None = None
    images: Mapping[str, Image | None] | None = None
    containers: Mapping[str, Container | None] | None = None
    published: Mapping[str, Text] | None = None


class Native(Part):
    """The asked `vllm` executable: where it is, and the version that its own interpreter reports."""

    executable: Text
    path: Text | None = None
    version: Text | None = None
    visible_devices: Text | None = None


class Disk(Part):
    """The file system that holds an asked path (or its nearest existing parent, `looked_at`)."""

    path: Text
    exists: bool = True
    looked_at: Text
    mount_point: Text | None = None
    fs_type: Text | None = None
    total_bytes: Count
    free_bytes: Count
    writable: bool | None = None


class Port(Part):
    """Whether an asked address could be bound, and who listens there if not."""

    free: bool
    pid: Count | None = None
    process: Text | None = None
    detail: Text | None = None


class System(Part):
    """Kernel, processor and memory."""

    os: Text | None = None
    kernel: Text | None = None
    architecture: Text | None = None
    cpu_model: Text | None = None
    cpu_count: Count | None = None
    cpu_flags: tuple[Text, ...] | None = None
    memory_total_bytes: Count | None = None
    memory_available_bytes: Count | None = None
    shm_total_bytes: Count | None = None
    shm_free_bytes: Count | None = None


class Snapshot(Part):
    """What the Hub cache holds of a model at one revision. `complete`: every file that its index names is there."""

    revision: Text | None = None
    size_bytes: Count
    complete: bool
    missing: tuple[Text, ...] = ()


class Hub(Part):
    """The Hub cache, and whether a token is there and from where. Its value is never read into a fact."""

    cache_dir: Text | None = None
    token_present: bool | None = None
    token_source: Literal["environment", "file"] | None = None
    offline: bool | None = None
    endpoint: Text | None = None
    snapshots: Mapping[str, Snapshot | None] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at on a host. Nothing that is not asked for is looked at; names, never secrets, go in.

    `paths` are (purpose, path): facts are kept by purpose, so that they can be judged where the path is another.
    """

    gpus: bool = False
    docker: bool = False
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    label_prefix: str = "dsv4"
    executable: str | None = None
    paths: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    hub_cache: str | None = None
    repos: tuple[tuple[str, str | None], ...] = ()
    token_env: str | None = None
    variables: tuple[str, ...] = ()


class HostFacts(Part):
    """All that was learned about a host.

    Keys: `disks` by purpose ("weights", "caches", "model", "docker"), `ports` by "host:port", `hub.snapshots` by "repo"
    or "repo@revision". `variables`: which asked environment variables are set, never to what.
    """

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    origin: Literal["probed", "recorded", "constructed"]
    taken_at: Text | None = None
    note: Text | None = None
    gpus: Annotated[tuple[Gpu, ...], Field(max_length=1024)] | None = None
    driver: Driver | None = None
    docker: Docker | None = None
    native: Native | None = None
    disks: Mapping[str, Disk | None] | None = None
    ports: Mapping[str, Port | None] | None = None
    system: System | None = None
    hub: Hub | None = None
    variables: Mapping[str, bool] | None = None
    problems: Mapping[str, Text] = {}
    unread: tuple[Text, ...] = ()

    def why(self, path: str) -> str:
        """Why the fact at a dotted path is unknown: its own problem, else that of the nearest part around it."""
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            reason = self.problems.get(".".join(parts[:end]))
            if reason is not None:
                return reason
        return "these facts do not say"

    def to_json(self) -> str:
        """The document that `from_json` reads back as an equal value; what is unknown is written as null."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "facts") -> "HostFacts":
        """Read a facts document.

        A document of a newer schema may hold keys that this version does not know: they are dropped and listed in
        `unread`. In a document of our own schema an unknown key is a spelling mistake and an error.

        Errors: InputError, with the path inside the document, for anything that is not a facts document.
        """
        return _decode(text, where)


def _decode(text: str | bytes, where: str) -> HostFacts:
    if len(text) > MAX_DOCUMENT_BYTES:
        raise _invalid(f"A facts document of {len(text)} bytes is larger than the {MAX_DOCUMENT_BYTES} allowed", where)
    try:
        data: Any = parse_json(text, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"The facts are not valid JSON: {error}", where) from error
    if not isinstance(data, dict):
        raise _invalid(f"The facts must be a JSON object, not {_kind(data)}", where)
    version = data.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _invalid("The facts must say their schema_version, a whole number from 1 up", f"{where}: schema_version")
    try:
        return HostFacts.model_validate_json(to_json(data))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    unknown = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    if version <= SCHEMA_VERSION or len(unknown) < len(problems):
        raise InputError(*(_problem(item, where) for item in problems[:MAX_PROBLEMS]))
    for loc in unknown:
        _drop(data, loc)
    facts = HostFacts.model_validate_json(to_json(data))
    return facts.model_copy(update={"unread": (*facts.unread, *(_spell(loc) for loc in unknown))})


def _invalid(message: str, where: str) -> InputError:
    return InputError(Problem("facts", f"{message}.", where, "Record the host again: `dsv4 doctor --save FILE`."))


def _problem(item: Any, where: str) -> Problem:
    path = f"{where}: {_spell(item['loc'])}"
    if item["type"] == "extra_forbidden":
        return Problem(
            "facts", f"Facts of schema {SCHEMA_VERSION} have no such key.", path, "Remove it or correct its name."
        )
    return Problem("facts", f"Wrong value: {item['msg']}.", path, "Correct the file, or record the host again.")


def _drop(data: Any, loc: tuple[str | int, ...]) -> None:
    for key in loc[:-1]:
        data = data[key]
    del data[loc[-1]]


def _spell(loc: tuple[str | int, ...]) -> str:
    spelled = ""
    for key in loc:
        shown = str(key) if len(str(key)) <= 80 else str(key)[:80] + "…"
        spelled += f"[{key}]" if isinstance(key, int) else (f".{shown}" if spelled else shown)
    return spelled or "(top)"


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
