"""The Docker engine as it is: reachable or why not, GPU runtimes, asked images and container names."""

import errno
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsv4_launch.facts import Container, Disk, Docker, EngineState, Image, Request
from dsv4_launch.host.disk import read_disk
from dsv4_launch.host.docker_address import Endpoint, find_endpoint
from dsv4_launch.host.docker_limits import read_default_ulimits, read_device_links, read_toolkit
from dsv4_launch.host.looking import CouldNotLook, Note, clean, spell

CALL_S = 6.0
CDI_DIRS = ("/etc/cdi", "/var/run/cdi")
GPU_HOOK = "nvidia-container-runtime-hook"

# An image's environment may hold anything; these names decide how it meets the driver.
IMAGE_ENV = (
    "CUDA_VERSION",
    "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_VISIBLE_DEVICES",
    "VLLM_ENABLE_CUDA_COMPATIBILITY",
)


def connect(endpoint: Endpoint, timeout_s: float = CALL_S) -> Any:
    """A client of the docker package for an engine; it has spoken to it once.

    Errors: docker.errors.DockerException, and what lies under it.
    """
    import docker

    tls: Any = None
    if endpoint.tls_dir is not None:
        folder = Path(endpoint.tls_dir)
        pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
        authority = folder / "ca.pem"
        tls = docker.tls.TLSConfig(
            client_cert=pair if Path(pair[0]).exists() else None,
            ca_cert=str(authority) if endpoint.tls_verify and authority.exists() else None,
            verify=endpoint.tls_verify,
        )
    return docker.DockerClient(
        base_url=endpoint.url,
        version="auto",
        timeout=timeout_s,
        tls=tls or False,
        use_ssh_client=endpoint.url.startswith("ssh://"),
    )


def read_docker(request: Request, note: Note, env: Mapping[str, str] | None = None) -> tuple[Docker, Disk | None]:
    """The engine that the docker command line would use here, and the disk of its images if that is this machine's."""
    known = os.environ if env is None else env
    engine = read_engine(request, note, known)
    if engine.data_root is None or not (engine.endpoint or "").startswith("unix://"):
        note("disks.docker", "the engine's images are not on a disk that can be seen here")
        return engine, None
    try:
        return engine, read_disk("docker", engine.data_root, note)
    except CouldNotLook as error:
        note("disks.docker", str(error))
        return engine, None


def read_engine(request: Request, note: Note, known: Mapping[str, str]) -> Docker:
    """The engine by itself."""
    cli = shutil.which("docker", path=known.get("PATH"))
    try:
        endpoint = find_endpoint(known)
    except CouldNotLook as error:
        return Docker(cli_path=cli, engine="error", detail=str(error))
    found: dict[str, Any] = {"cli_path": cli, "context": endpoint.context, "endpoint": clean(endpoint.url)}
    refused = knock(endpoint)
    if refused is not None:
        return Docker(**found, engine=refused[0], detail=refused[1])
    try:
        client = connect(endpoint)
    except Exception as error:  # the docker package lets requests, urllib3 and paramiko failures through
        return Docker(**found, engine="error", detail=spell(error))
    try:
        return _read(client, request, note, found, known, endpoint)
    except Exception as error:
        return Docker(**found, engine="error", detail=spell(error))
    finally:
        client.close()


def knock(endpoint: Endpoint) -> tuple[EngineState, str] | None:
    """Why nobody opens at the engine's address, or None. The docker package would hide the errno that tells."""
    scheme, _, rest = endpoint.url.partition("://")
    try:
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(CALL_S)
                probe.connect(rest)
        elif scheme in ("tcp", "http", "https"):
            host, _, port = rest.partition("/")[0].rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=CALL_S).close()
    except PermissionError:
        return "denied", f"this user may not open {rest}"
    except FileNotFoundError:
        return "down", f"there is no socket {rest}"
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return "down", f"nobody answers at {rest}"
        return "down", f"{rest}: {spell(error)}"
    except ValueError:
        return "error", f"{clean(endpoint.url)} is not an address"
    return None


def _read(
    client: Any, request: Request, note: Note, found: Mapping[str, Any], env: Mapping[str, str], endpoint: Endpoint
) -> Docker:
    info = client.api.info()
    version = client.api.version(api_version=False)
    spec_dirs = info.get("CDISpecDirs") or None
    return Docker(
        **found,
        engine="ready",
        server_version=_text(info.get("ServerVersion")),
        api_version=_text(version.get("ApiVersion")),
        runtimes=tuple(sorted(clean(name) for name in info.get("Runtimes") or {})),
        default_runtime=_text(info.get("DefaultRuntime")),
        cdi_spec_dirs=None if spec_dirs is None else tuple(clean(folder) for folder in spec_dirs),
        cdi_devices=_cdi_devices(info, endpoint),
        gpu_hook_path=shutil.which(GPU_HOOK, path=env.get("PATH")),
        data_root=_text(info.get("DockerRootDir")),
        storage_driver=_text(info.get("Driver")),
        cgroup_version=_text(info.get("CgroupVersion")),
        cgroup_driver=_text(info.get("CgroupDriver")),
        toolkit_version=None if endpoint.remote else read_toolkit(note, env),
        gpu_device_links=None if endpoint.remote else _device_links(note),
        default_ulimits=_ulimits(endpoint, note),
        images=_each(request.images, lambda ref: _image(client, ref), "docker.images", note),
        containers=_each(
            request.containers, lambda name: _container(client, name, request.label_prefix), "docker.containers", note
        ),
        published=_published(client, {port for _host, port in request.ports}, note),
    )


def _device_links(note: Note) -> bool | None:
    try:
        return read_device_links()
    except OSError as error:
        note("docker.gpu_device_links", spell(error))
        return None


def _ulimits(endpoint: Endpoint, note: Note) -> dict[str, int] | None:
    try:
        return read_default_ulimits(endpoint.url)
    except CouldNotLook as error:
        note("docker.default_ulimits", str(error))
        return None


def _each(names: tuple[str, ...], look: Any, path: str, note: Note) -> dict[str, Any]:
    """What was found under each name. A name that could not be looked up is left out, with its reason noted."""
    found = {}
    for name in names:
        try:
            found[name] = look(name)
        except Exception as error:
            note(f"{path}.{name}", spell(error))
    return found


def _image(client: Any, ref: str) -> Image | None:
    import docker

    try:
        data = client.api.inspect_image(ref)
    except docker.errors.ImageNotFound:
        return None
    pairs = (entry.partition("=") for entry in (data.get("Config") or {}).get("Env") or ())
    return Image(
        id=clean(data["Id"]),
        size_bytes=data.get("Size"),
        architecture=_text(data.get("Architecture")),
        env={name: clean(value) for name, _, value in pairs if name in IMAGE_ENV},
        repo_digests=tuple(clean(item) for item in data.get("RepoDigests") or ()),
    )


def _container(client: Any, name: str, label_prefix: str) -> Container | None:
    import docker

    try:
        data = client.api.inspect_container(name)
    except docker.errors.NotFound:
        return None
    if data.get("Name") != f"/{name}":  # the engine also takes the beginning of another container's id for a name
        return None
    config = data.get("Config") or {}
    bindings = (data.get("HostConfig") or {}).get("PortBindings") or {}
    ports = {int(item["HostPort"]) for items in bindings.values() for item in items or () if item.get("HostPort")}
    return Container(
        id=clean(data["Id"]),
        state=clean(data["State"]["Status"]),
        image=_text(config.get("Image")),
        labels={k: clean(v) for k, v in (config.get("Labels") or {}).items() if k.startswith(label_prefix)},
        host_ports=tuple(sorted(ports)),
    )


def _published(client: Any, ports: set[int], note: Note) -> dict[str, str] | None:
    try:
        rows = client.api.containers() if ports else []
    except Exception as error:
        note("docker.published", spell(error))
        return None
    return {
        f"{port.get('IP', '0.0.0.0')}:{port['PublicPort']}": clean(row["Names"][0].lstrip("/"))  # noqa: S104
        for row in rows
        for port in row.get("Ports") or ()
        if port.get("PublicPort") in ports and port.get("Type") == "tcp"
    }


def _cdi_devices(info: Mapping[str, Any], endpoint: Endpoint) -> tuple[str, ...] | None:
    """CDI devices that the engine names (28 and later), else the kinds that spec files on this machine declare."""
    named = info.get("DiscoveredDevices")
    if named is not None:
        return tuple(sorted(clean(item.get("ID")) for item in named))
    if endpoint.remote:
        return None
    kinds = set()
    for folder in info.get("CDISpecDirs") or CDI_DIRS:
        for spec in sorted(Path(folder).glob("*")) if Path(folder).is_dir() else ():
            kinds |= _kinds(spec)
    return tuple(sorted(kinds))


def _kinds(spec: Path) -> set[str]:
    import re

    try:
        text = spec.read_text(errors="replace") if spec.suffix in (".yaml", ".yml", ".json") else ""
    except OSError:
        return set()
    return {clean(kind) for kind in re.findall(r'^\s*"?kind"?\s*:\s*"?([\w./-]+)', text, re.MULTILINE)}


def _text(value: object) -> str | None:
    return clean(value) if value else None
