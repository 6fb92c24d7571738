"""What is known about one host: a frozen value that prints as JSON, is recorded, replayed and compared.

Every part is optional. `None` means "could not look" (or "was not asked"); `problems` says why, under the part's dotted
path. A part that was looked at and found absent is never `None`: no GPU is an empty tuple, no such image is `null` in
its mapping. That difference keeps an unread fact from ever counting as a passed check.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import from_json as parse_json
from pydantic_core import to_json

from dsv4_launch.errors import InputError, Problem
from dsv4_launch.facts.engine import Docker, Native
from dsv4_launch.facts.gpu import Driver, FabricManager, Gpu, Kernel
from dsv4_launch.facts.machine import Disk, Hub, Mount, Network, Port, System
from dsv4_launch.facts.parts import Part, Text

SCHEMA_VERSION: Final = 1
MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024
MAX_PROBLEMS: Final = 20


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
    fabric_manager: FabricManager | None = None
    kernel: Kernel | None = None
    docker: Docker | None = None
    native: Native | None = None
    disks: Mapping[str, Disk | None] | None = None
    ports: Mapping[str, Port | None] | None = None
    mounts: Annotated[tuple[Mount, ...], Field(max_length=1024)] | None = None
    system: System | None = None
    hub: Hub | None = None
    network: Network | None = None
    variables: Mapping[str, bool] | None = None
    problems: Mapping[str, Text] = {}
    unread: tuple[Text, ...] = ()

    @field_validator("gpus")
    @classmethod
    def _each_index_once(cls, gpus: tuple[Gpu, ...] | None) -> tuple[Gpu, ...] | None:
        indices = [gpu.index for gpu in gpus or ()]
        if len(set(indices)) < len(indices):
            raise ValueError(f"two GPUs have index {next(i for i in indices if indices.count(i) > 1)}")
        return gpus

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
    return Problem(
        "facts",
        f"Wrong value: {item['msg'].removeprefix('Value error, ')}.",
        path,
        "Correct the file, or record the host again.",
    )


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
