"""The options of each target: one class a target, chosen by ``target.type``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class TargetOptions(BaseModel):
    """Frozen, no unknown keys, no coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, hide_input_in_errors=True)


class DockerTarget(TargetOptions):
    """A container of the official image, supervised by the docker engine."""

    type: Literal["docker"] = Field(description="Run in a container.")
    restart: Annotated[str, Field(pattern=r"^(no|always|unless-stopped|on-failure(:[0-9]+)?)$")] = Field(
        "no", description="Restart policy of the engine: no, on-failure[:n], unless-stopped, always."
    )


class NativeTarget(TargetOptions):
    """A ``vllm serve`` process of this machine, in a session of its own."""

    type: Literal["native"] = Field(description="Run as a process.")
    executable: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = Field(
        None, description="The vllm program: a name on PATH or a path; ~ is the home folder. `vllm` if unset."
    )
    restart: Literal["no", "on-failure"] = Field("no", description="Start it again when it dies: no, on-failure.")
