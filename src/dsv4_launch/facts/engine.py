"""Facts about what a server runs in: a container engine, or a vLLM installation."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from dsv4_launch.facts.parts import Count, Limit, Part, Text

EngineState = Literal["ready", "down", "denied", "error"]


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

    `gpu_device_links`: /dev/char has a link to every GPU device. `default_ulimits`: the hard limits that a container
    gets when nobody says otherwise. `published`: which container holds a published port ("0.0.0.0:8000"), since a
    listening proxy does not say.
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
    cgroup_driver: Text | None = None
    toolkit_version: Text | None = None
    gpu_device_links: bool | None = None
    default_ulimits: Mapping[str, Limit] | None = None
    images: Mapping[str, Image | None] | None = None
    containers: Mapping[str, Container | None] | None = None
    published: Mapping[str, Text] | None = None


class Native(Part):
    """The asked `vllm` executable: where it is, and the version that its own interpreter reports."""

    executable: Text
    path: Text | None = None
    version: Text | None = None
    visible_devices: Text | None = None
