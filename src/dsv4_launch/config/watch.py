"""How a running deployment is watched: restarts, hangs, and who is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, hide_input_in_errors=True)
_ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
# No user and password: a URL that holds a secret comes from a variable.
URL = r"^https?://[^\x00-\x20\x7f@]+$"


class OnFailure(BaseModel):
    """Who is told when the server died, hangs, or crashes again and again."""

    model_config = _CONFIG

    command: tuple[Annotated[str, Field(max_length=4096, pattern=_ONE_LINE)], ...] | None = Field(
        None,
        description="Program and arguments to run, without a shell. The facts are in DSV4_ variables, and as JSON on "
        "its standard input; variables of keys and tokens (those that the config names, HF_TOKEN, VLLM_API_KEY) are "
        "taken out of its environment.",
    )
    webhook: Annotated[str, Field(max_length=2048, pattern=URL)] | None = Field(
        None, description="URL that gets the facts as a JSON POST. One that holds a token belongs in webhook_env."
    )
    webhook_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] | None = Field(
        None, description="Environment variable of the watcher that holds the webhook's URL."
    )
    timeout_s: Annotated[int, Field(ge=1, le=300)] = Field(
        10, description="Seconds that the command, and the webhook, may take; a restart waits for them."
    )


class Watch(BaseModel):
    """What a watcher does. It starts a server again only where nothing else does (see target.restart)."""

    model_config = _CONFIG

    restart: bool = Field(
        True, description="Start a server that died again, unless target.restart has the engine or supervisor do it."
    )
    max_restarts: Annotated[int, Field(ge=0, le=1000)] = Field(
        5, description="Restarts within restart_window_s; one more death is a crash loop: it is stopped, exit code 7."
    )
    restart_window_s: Annotated[int, Field(ge=1, le=604800)] = Field(3600, description="Seconds that a restart counts.")
    backoff_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        5.0, description="Seconds before the first restart; doubled for each further one."
    )
    backoff_max_s: Annotated[float, Field(ge=0, le=86400)] = Field(
        300.0, description="Longest wait before a restart, in seconds."
    )
    hang_s: Annotated[int, Field(ge=0, le=86400)] = Field(
        300,
        description="Requests run and no token, prefill or finish is counted for so many seconds, or a server that was "
        "ready does not answer at all: it hangs. So does one that is not ready after start.timeout_s. 0: none of that.",
    )
    on_hang: Literal["report", "restart"] = Field("report", description="What to do about a hang.")
    on_failure: OnFailure = Field(
        default_factory=OnFailure.model_construct, description="Command and webhook that are told of a failure."
    )
