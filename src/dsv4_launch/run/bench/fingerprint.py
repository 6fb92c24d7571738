"""The fingerprint of a run: what served, on what, and what measured it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dsv4_launch.bench.gpu import Gpus
from dsv4_launch.bench.results import Fingerprint, GpuPrint
from dsv4_launch.facts import System
from dsv4_launch.run.bench.client import Client, remove
from dsv4_launch.run.service import Seen

_ASK_S = 5.0
_CLIENT_S = 60.0
_VERSION = "import importlib.metadata as m; print(m.version('vllm'))"


def fingerprint(
    seen: Seen | None,
    url: str,
    key: str,
    client: Client,
    gpus: Gpus | None,
    system: System | None,
    engine: Callable[[], Any] | None,
    environ: Mapping[str, str],
) -> Fingerprint:
    """What can be learned here and now; what cannot stays empty. ``seen`` is the deployment, None for a bare URL.

    ``gpus`` and ``system`` None: the server is on another machine, which nobody here can see.
    """
    image, digest, argv = _container(seen, engine) if seen and seen.target == "docker" else ("", "", ())
    if seen and seen.target == "native":
        argv = _argv(seen.pid)
    return Fingerprint(
        dsv4=version("dsv4-launch"),
        vllm=server_version(url, key),
        image=image,
        image_digest=digest,
        target=seen.target if seen else "",
        driver=gpus.driver if gpus else "",
        cuda=gpus.cuda if gpus else "",
        gpus=tuple(
            GpuPrint(
                index=one.index,
                name=one.name,
                memory_total_mib=one.memory_total_mib,
                power_limit_w=one.power_limit_w,
                sm_clock_max_mhz=one.sm_clock_max_mhz,
                memory_clock_max_mhz=one.memory_clock_max_mhz,
            )
            for one in (gpus.limits() if gpus else ())
        ),
        cpu=(system.cpu_model or "") if system else "",
        cores=(system.cpu_count or 0) if system else 0,
        memory_gib=round((system.memory_total_bytes or 0) / 2**30, 1) if system else 0.0,
        kernel=(system.kernel or "") if system else "",
        python=platform.python_version(),
        server_argv=argv,
        client=client.what,
        client_vllm=client_version(client, environ),
    )


def server_version(url: str, key: str) -> str:
    """What /version says ("" when it does not)."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return str(json.loads(get(url, "/version", key))["version"])[:100]
    return ""


def get(url: str, path: str, key: str) -> bytes:
    """One GET without a proxy. Raises OSError, HTTPException, ValueError (not 200)."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_ASK_S)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", f"{parts.path.rstrip('/')}{path}", headers=headers)
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"{path} answers {response.status}")
        return response.read(1_000_000)
    finally:
        connection.close()


def client_version(client: Client, environ: Mapping[str, str]) -> str:
    """The client's vLLM, as its metadata says where it runs ("": it cannot be told, which is no failure)."""
    name = f"dsv4-bench-{os.getpid()}-version"
    command = client.asking(_VERSION, name)
    if not command:
        return ""
    try:
        done = subprocess.run(
            command,
            env=client.variables(environ, ""),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CLIENT_S,
            check=False,
        )
    except OSError:
        return ""
    except subprocess.TimeoutExpired:
        remove(command, name)
        return ""
    # What an image's Python says when it starts stands above it.
    said = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return said[-1].strip()[:100] if said and said[-1].isprintable() else ""


def _container(seen: Seen, engine: Callable[[], Any] | None) -> tuple[str, str, tuple[str, ...]]:
    if engine is None:
        return seen.image, "", ()
    with contextlib.suppress(Exception):  # the docker package lets failures of requests and urllib3 through
        container = engine().containers.get(seen.name)
        image = container.image.attrs
        digest = next((d.rpartition("@")[2] for d in image.get("RepoDigests") or ()), image.get("Id", ""))
        argv = (str(container.attrs["Path"]), *(str(word) for word in container.attrs["Args"] or ()))
        return seen.image, str(digest), argv
    return seen.image, "", ()


def _argv(pid: int) -> tuple[str, ...]:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return tuple(word.decode("utf-8", "replace") for word in words if word)
    return ()
