"""Which engine the docker command line would talk to, found the way it finds it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsv4_launch.host.looking import CouldNotLook, spell

DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address, the docker context that named it ("" for DOCKER_HOST), and its TLS files' folder."""

    url: str
    context: str
    tls_dir: str | None = None
    tls_verify: bool = True

    @property
    def remote(self) -> bool:
        """True when the engine is reached over a network, so that it may be another machine."""
        return not self.url.startswith(("unix://", "npipe://"))


def find_endpoint(env: Mapping[str, str] | None = None) -> Endpoint:
    """DOCKER_HOST, else DOCKER_CONTEXT, else the current context of the docker config, else the default socket.

    Errors: CouldNotLook where a context is named that cannot be read.
    """
    known = os.environ if env is None else env
    folder = _config_folder(known)
    if known.get("DOCKER_HOST"):
        verify = bool(known.get("DOCKER_TLS_VERIFY"))
        tls = bool(known.get("DOCKER_TLS") or verify)
        tls_dir = (known.get("DOCKER_CERT_PATH") or str(folder)) if tls else None
        return Endpoint(known["DOCKER_HOST"], "", tls_dir, verify)
    name = known.get("DOCKER_CONTEXT") or _current_context(folder)
    if name == "default":
        return Endpoint(DEFAULT, name)
    digest = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((folder / "contexts" / "meta" / digest / "meta.json").read_text())
        docker: Any = meta["Endpoints"]["docker"]
        url = str(docker["Host"])
    except OSError as error:
        raise CouldNotLook(f"docker context {name!r}: {spell(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CouldNotLook(f"docker context {name!r} has no docker endpoint") from error
    tls_files = folder / "contexts" / "tls" / digest / "docker"
    return Endpoint(url, name, str(tls_files) if tls_files.is_dir() else None, not docker.get("SkipTLSVerify", False))


def _config_folder(env: Mapping[str, str]) -> Path:
    if env.get("DOCKER_CONFIG"):
        return Path(env["DOCKER_CONFIG"])
    return (Path(env["HOME"]) if env.get("HOME") else Path.home()) / ".docker"


def _current_context(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text()).get("currentContext") or "default")
    except (OSError, ValueError, AttributeError):
        return "default"  # docker itself warns and goes on with the default
