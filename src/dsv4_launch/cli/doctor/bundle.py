"""The file to attach to an issue: facts, plan, config, results, versions, last log lines; nothing that is private."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import socket
import tarfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.cli.doctor.redact import Redactor
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.values import to_data

if TYPE_CHECKING:
    from dsv4_launch.checks.examine import Result
    from dsv4_launch.facts import HostFacts
    from dsv4_launch.plan.types import Plan

LOG_LINES = 500
PACKAGES = ("dsv4-launch", "docker", "huggingface_hub", "nvidia-ml-py", "pydantic", "typer", "vllm")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_README = """This bundle was written by `dsv4 doctor --bundle` to be attached to an issue.

facts.json     what the host looked like; replay it with `dsv4 doctor --facts facts.json`
results.json   what became of every check
plan.json      what would be launched
config.json    the config that the plan was made from
versions.json  versions of dsv4, Python and packages
log.txt        the last lines of the server's log, where it has one

Secrets, names of hosts, IP and MAC addresses and the home folder were removed. Read it before you attach it.
"""


def pack(plan: Plan, facts: HostFacts, results: Sequence[Result]) -> bytes:
    """The bundle as a compressed archive."""
    redact = Redactor(_secrets(plan), _hosts(plan, facts), _homes())
    documents = {
        "facts.json": facts.model_dump(mode="json") | {"origin": _origin(facts)},
        "results.json": to_data(results),
        "plan.json": {key: value for key, value in to_data(plan).items() if key != "config"},
        "config.json": to_data(plan.config),
        "versions.json": _versions(),
    }
    texts = {name: json.dumps(data, indent=1, ensure_ascii=False) + "\n" for name, data in documents.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        # Of a host that was recorded elsewhere, a deployment of the same name here says nothing.
        log = _log(plan) if facts.origin == "probed" else "A recorded host was judged; its log is there.\n"
        for name, text in {"README": _README, **texts, "log.txt": log}.items():
            data = redact(text).encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"dsv4-bundle/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _origin(facts: HostFacts) -> str:
    return "recorded" if facts.origin == "probed" else facts.origin


def _log(plan: Plan) -> str:
    from dsv4_launch.cli import drivers

    try:
        service = drivers.find(plan.name)
        if service is None:
            return f"There is no deployment {plan.name} here.\n"
        return "".join(f"{line}\n" for line in service.driver.logs(plan.name, follow=False, tail=LOG_LINES))
    except Dsv4Error as error:
        return f"The log could not be read: {error}\n"


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version(), "kernel": platform.release()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _secrets(plan: Plan) -> Iterator[str]:
    """Values that are secret here: of variables named like one or handed over by name, and the Hub's token file."""
    handed = {variable.env_from for variable in plan.environment if variable.env_from}
    for name, value in os.environ.items():
        if name in handed or _SECRET_NAME.search(name):
            yield value
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    try:
        yield Path(os.environ.get("HF_TOKEN_PATH") or home / "token").read_text()
    except (OSError, UnicodeDecodeError):
        return


def _hosts(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Names of this machine, of the registry of the image, and of every machine in /etc/hosts."""
    name = socket.gethostname()
    yield from (name, name.partition(".")[0])
    images = [plan.container.image, *((facts.docker.images if facts.docker else None) or {})]
    for image in images:
        registry = image.partition("/")[0]
        if "/" in image and ("." in registry or ":" in registry):
            yield from (registry, registry.partition(":")[0])
    try:
        lines = Path("/etc/hosts").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        yield from (word for word in line.partition("#")[0].split()[1:] if not word.startswith(("localhost", "ip6-")))


def _homes() -> Iterator[str]:
    # root's home is the same everywhere and says nothing.
    yield from (home for home in (str(Path.home()), os.environ.get("HOME", "")) if home not in ("/root", "/"))
