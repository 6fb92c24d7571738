"""What a user writes: the documented deployment and all that an operator sets about it.

Validators reject and never assign; what follows from a config is decided in `dsv4_launch.plan.resolve`. Documented
vLLM arguments are typed under vLLM's own names; any other argument of the config's vLLM version passes through `engine`
and is checked against that version's flag table. ``indexer_cache_dtype`` is neutral: vLLM renamed the flag.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from dsv4_launch.config.targets import DockerTarget, NativeTarget
from dsv4_launch.config.watch import URL, Watch

# Rust regexes: ASCII classes and no counted repeats (those make slow, huge automata); lengths are limits of their own.
HUMAN_INT = r"^[0-9]+(\.[0-9]+)?[kKmMgGtT]?$"
BYTES = r"^[0-9]+[bkmgBKMG]?$"
LOG_SIZE = r"^[1-9][0-9]*[kmg]$"

NAME = r"^[a-z0-9][a-z0-9_.-]*$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
REPO = r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$"
REVISION = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"
IMAGE = r"^[a-z0-9][A-Za-z0-9_./:@-]*$"
# A folder of the host (absolute, or below ~) or the name of a docker volume; docker would take a : for the next field.
SOURCE = r"^(~(/[^\x00-\x1f\x7f:]*)?|/[^\x00-\x1f\x7f:]*|[A-Za-z0-9][A-Za-z0-9_.-]*)$"
FOLDER = r"^(~(/[^\x00-\x1f\x7f:]*)?|/[^\x00-\x1f\x7f:]*)$"
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
VERSION = r"^[0-9]+\.[0-9]+[A-Za-z0-9.+-]*$"

# The same forms in words, for messages.
FORMS: Mapping[str, str] = {
    HUMAN_INT: "a number with an optional unit (64k = 64,000, 64K = 65,536)",
    BYTES: "a size such as 128g or 512m",
    LOG_SIZE: "a size such as 100m, with k, m or g",
    NAME: "lower-case letters, digits, and . _ - after the first",
    ENV_NAME: "the name of an environment variable (letters, digits, _)",
    REPO: "a repository, owner/name",
    REVISION: "a commit, tag or branch",
    IMAGE: "an image reference such as vllm/vllm-openai:v0.20.0",
    SOURCE: "an absolute path, a path below ~, or the name of a docker volume; without a colon",
    FOLDER: "an absolute path or a path below ~, without a colon",
    ONE_LINE: "one line of text",
    VERSION: 'a release such as "0.20.0"',
    URL: "an http or https URL without user and password",
}

# vLLM's names of what has a field of ours elsewhere.
RENAMED: Mapping[str, str] = {
    "tensor_parallel_size": "parallel.tensor",
    "data_parallel_size": "parallel.data",
    "pipeline_parallel_size": "parallel.pipeline",
    "enable_expert_parallel": "parallel.expert",
    "host": "server.host",
    "port": "server.port",
    "served_model_name": "server.served_model_name",
    "api_key": "server.api_key_env",
    "hf_token": "secrets.hf_token",
    "revision": "model.revision",
    "model_tag": "model",
    "model": "model",
}

Name = Annotated[str, Field(pattern=NAME, max_length=63)]
EnvName = Annotated[str, Field(pattern=ENV_NAME, max_length=128)]
Repo = Annotated[str, Field(pattern=REPO, max_length=193)]
Revision = Annotated[str, Field(pattern=REVISION, max_length=100)]
ImageName = Annotated[str, Field(pattern=IMAGE, max_length=255)]
OneLine = Annotated[str, Field(min_length=1, max_length=4096, pattern=ONE_LINE)]
# vLLM reads 64k as 64,000 and 64K as 65,536 (vllm/engine/arg_utils.py, human_readable_int).
HumanInt = Annotated[str, Field(pattern=HUMAN_INT, max_length=20)]
Tokens = Annotated[int, Field(ge=1, le=2**40)]


class Strict(BaseModel):
    """Frozen, no unknown keys, no coercion: YAML already has types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Model(Strict):
    """A checkpoint that is not named by catalog key alone."""

    repo: Repo | None = Field(None, description="Hugging Face repository, owner/name.")
    revision: Revision | None = Field(
        None, description="Commit, tag or branch of the repository; `dsv4 pin` writes the commit."
    )
    path: Annotated[str, Field(pattern=FOLDER, max_length=4096)] | None = Field(
        None, description="A local folder that holds the checkpoint, instead of a repository."
    )
    variant: str | None = Field(
        None, description="Catalog key whose facts hold for this checkpoint (layers, draft module, minimum vLLM)."
    )


class Parallel(Strict):
    """The parallel layout. GPUs used = tensor x pipeline x data."""

    tensor: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="--tensor-parallel-size.")
    data: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="--data-parallel-size: engines with their own KV."
    )
    pipeline: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="--pipeline-parallel-size.")
    expert: bool = Field(False, description="--enable-expert-parallel: experts are spread over tensor x data ranks.")


class CompilationConfig(BaseModel):
    """vLLM's --compilation-config; further keys of the version pass through and are checked against its schema."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True, hide_input_in_errors=True)

    cudagraph_mode: Literal["NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"] | None = Field(
        None, description="Which CUDA graphs are captured."
    )
    custom_ops: tuple[OneLine, ...] | None = Field(
        None,
        description="Custom ops switched on or off: `all` or `none`, then `+name` or `-name`.",
    )
    mode: Annotated[int, Field(ge=0, le=3)] | None = Field(None, description="Compilation mode, 0 (none) to 3 (vLLM).")


class Engine(BaseModel):
    """vLLM engine arguments under vLLM's own names. Any other argument of the version is allowed and checked."""

    model_config = ConfigDict(
        frozen=True, extra="allow", strict=True, defer_build=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    kv_cache_dtype: OneLine | None = Field(None, description="KV cache type; the model needs fp8 before vLLM 0.30.0.")
    indexer_cache_dtype: Literal["fp4", "fp8"] | None = Field(
        None,
        description="Type of the sparse-attention indexer's cache. fp4 needs a Blackwell datacenter GPU (sm_10x). "
        "Neutral name: rendered as the flag that the vLLM version knows.",
    )
    block_size: Annotated[int, Field(ge=1, le=2**20)] | None = Field(None, description="Tokens of one KV cache block.")
    max_model_len: Tokens | Literal["auto"] | HumanInt | None = Field(
        None,
        description="Longest request in tokens (prompt and reply); auto takes the longest that fits. 64k = 64,000.",
    )
    max_num_batched_tokens: Tokens | HumanInt | None = Field(
        None, description="Most tokens of one scheduler step; KV memory is reserved in proportion."
    )
    max_num_seqs: Tokens | None = Field(None, description="Most requests of one scheduler step.")
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Fraction of each GPU's memory that vLLM takes, 0 to 1."
    )
    compilation_config: CompilationConfig | None = Field(None, description="Compilation and CUDA graph settings.")
    tokenizer_mode: OneLine | None = Field(None, description="Tokenizer and chat template; deepseek_v4 for this model.")
    tool_call_parser: OneLine | None = Field(None, description="Parser of tool calls; deepseek_v4 for this model.")
    reasoning_parser: OneLine | None = Field(None, description="Parser of reasoning; deepseek_v4 for this model.")
    enable_auto_tool_choice: bool | None = Field(None, description="Let the model decide to call tools.")
    trust_remote_code: bool | None = Field(None, description="Run Python code that comes with the checkpoint.")


class Server(Strict):
    """Where clients reach the server."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$", max_length=253)] = Field(
        "127.0.0.1", description="Address the endpoint is published on; a public one needs a key and a proxy."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(8000, description="TCP port of the endpoint.")
    served_model_name: OneLine | tuple[OneLine, ...] | None = Field(
        None,
        description="Name or names that clients ask for; the repository's name if unset.",
    )
    api_key_env: EnvName | None = Field(
        None, description="Environment variable that holds the API key. The key itself never stands in a config."
    )
    api_key_file: Annotated[str, Field(pattern=FOLDER, max_length=4096)] | None = Field(
        None,
        description="File that holds the API key instead: one line, readable by its owner alone (mode 0600). `dsv4 "
        "serve` hands it to the server through the environment.",
    )


class Mount(Strict):
    """One more folder or file of the host inside the container."""

    source: Annotated[str, Field(pattern=SOURCE, max_length=4096)] = Field(
        description="Path on the host; ~ is the home folder of who launches."
    )
    target: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f:,]*$")] = Field(
        description="Absolute path in the container."
    )
    read_only: bool = Field(True, description="Mount it read-only.")


class Container(Strict):
    """What a container needs, whatever engine runs it."""

    image: ImageName | None = Field(
        None, description="Image by tag or digest; the vLLM version's official image if unset."
    )
    ipc: Literal["host", "private", "shareable"] = Field("host", description="IPC namespace (--ipc).")
    shm_size: Annotated[str, Field(pattern=BYTES, max_length=20)] | None = Field(
        None, description="Size of /dev/shm, such as 128g."
    )
    network: Literal["bridge", "host"] = Field(
        "bridge",
        description="host: the server listens on server.host and server.port itself, and no port is published.",
    )
    runtime: Literal["nvidia", "default"] = Field("nvidia", description="OCI runtime (--runtime).")
    hardened: bool = Field(
        False,
        description="No new privileges, no capabilities but the one to use your folders, a read-only root with tmpfs "
        "where vLLM writes. Untested on a B200.",
    )
    caches: bool = Field(True, description="Keep compile and kernel caches on the host, so that a restart is warm.")
    log_max_size: Annotated[str, Field(pattern=LOG_SIZE, max_length=20)] | None = Field(
        "100m", description="Size at which the container's log starts a new file; null: as the engine is set up."
    )
    log_files: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="How many files of its log are kept.")
    stop_timeout_s: Annotated[int, Field(ge=1, le=86400)] | None = Field(
        None, description="Seconds from a stop to a kill (--stop-timeout); engine.shutdown_timeout and 30 if unset."
    )
    mounts: tuple[Mount, ...] = Field((), description="Further mounts.")
    ulimits: Mapping[Annotated[str, Field(pattern=r"^[a-z]+$", max_length=20)], Annotated[int, Field(ge=-1)]] = Field(
        default_factory=dict, description="Resource limits (--ulimit), such as memlock: -1."
    )
    options: tuple[OneLine, ...] = Field(
        (), description="Further words for `docker run`, verbatim, such as --device=/dev/infiniband."
    )


class Secrets(Strict):
    """Names of environment variables that hold secrets; never their values."""

    hf_token: EnvName = Field("HF_TOKEN", description="Variable with the Hub token; used on the host to pull weights.")
    pass_through: tuple[EnvName, ...] = Field(
        (),
        description="Variables handed to the server by name, from the environment of who launches. A native server "
        "inherits the others of it, but none named as a secret is (…_TOKEN, …_PASSWORD, …_ACCESS_KEY).",
    )


class Hub(Strict):
    """What a start may ask of the Hugging Face Hub."""

    offline: bool = Field(
        False,
        description="The server asks the Hub for nothing (HF_HUB_OFFLINE=1): its weights are pulled on the host first.",
    )


class Start(Strict):
    """How long a start may take."""

    timeout_s: Annotated[int, Field(ge=1, le=86400)] = Field(
        3600,
        description="Seconds from launch to ready, and vLLM's own engine-ready deadline (its default 600 is short).",
    )


def _by_shape(value: Any) -> str:
    return "table" if isinstance(value, Mapping | Model) else "key"


class LaunchConfig(Strict):
    """One deployment."""

    name: Name = Field(description="Name of the deployment and of its container.")
    model: Annotated[Annotated[str, Tag("key")] | Annotated[Model, Tag("table")], Discriminator(_by_shape)] = Field(
        description="Catalog key (flash, flash-0731, …), or {repo:, revision:} or {path:}."
    )
    vllm: Annotated[str, Field(pattern=VERSION, max_length=64)] | None = Field(
        None, description='vLLM release, quoted: "0.20.0". May be left out when container.image has it in its tag.'
    )
    gpu: str = Field(description="GPU type by catalog key (b200, h200, …), or cpu for a rehearsal.")
    gpus: Literal["all", "auto"] | tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        "all",
        description="GPUs to use: all (the server takes the first ones), auto (the launch takes free ones, near each "
        "other), or a list of indices.",
    )
    parallel: Parallel = Field(default_factory=Parallel.model_construct, description="Parallel layout.")
    engine: Engine = Field(default_factory=Engine.model_construct, description="vLLM engine arguments.")
    env: Mapping[EnvName, Annotated[str, Field(max_length=4096, pattern=r"^[^\x00\n\r]*$")]] = Field(
        default_factory=dict, description="Environment of the server. Never a secret: those go by name, in secrets."
    )
    server: Server = Field(default_factory=Server.model_construct, description="The endpoint.")
    container: Container = Field(default_factory=Container.model_construct, description="Container options.")
    target: Annotated[DockerTarget | NativeTarget, Field(discriminator="type")] = Field(
        default_factory=lambda: DockerTarget.model_construct(type="docker"),
        description="Where it runs: docker or native.",
    )
    secrets: Secrets = Field(
        default_factory=Secrets.model_construct, description="Names of variables that hold secrets."
    )
    hub: Hub = Field(default_factory=Hub.model_construct, description="What a start may ask of the Hugging Face Hub.")
    start: Start = Field(default_factory=Start.model_construct, description="Deadlines of a start.")
    watch: Watch = Field(default_factory=Watch.model_construct, description="How it is watched while it runs.")
