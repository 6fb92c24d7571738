#!/usr/bin/env python3
"""Find the `uv` installer, or fetch it, with nothing but a Python interpreter; print its path.

A fresh Debian or Ubuntu has neither pip nor `python3 -m venv` (ensurepip is split off), and its Python is
externally managed (PEP 668). So the last resort here reads the package index itself: the uv wheel is one
static binary, checked against the index's SHA-256 before it is unpacked.

    python3 scripts/get_uv.py [DIR]        # DIR: where a fetched uv is kept (default ~/.cache/dsv4/uv)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

_ACCEPT = "application/vnd.pypi.simple.v1+json"  # https://peps.python.org/pep-0691/
_TIMEOUT_S = 60


class NoUvError(RuntimeError):
    """uv is not on this machine and could not be fetched; the message says what to do."""


def default_home() -> Path:
    """The directory in which a fetched uv is kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "dsv4" / "uv"


def uv_env() -> dict[str, str]:
    """The environment to run uv in: what pip was told about index and certificates holds for uv too.

    uv reads neither pip's variables nor pip.conf (https://docs.astral.sh/uv/pip/compatibility/).
    `extra-index-url` is left out: uv takes a package from the first index that has it, pip the best
    version of all, so passing it on would change what is installed.
    """
    env = dict(os.environ)
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    env.setdefault("UV_NO_PROGRESS", "1")
    links, index = _pip_setting("find-links"), _pip_setting("index-url")
    if links and "UV_FIND_LINKS" not in env:
        env["UV_FIND_LINKS"] = ",".join(links.split())
    if index and "UV_DEFAULT_INDEX" not in env and "UV_INDEX_URL" not in env:
        env["UV_DEFAULT_INDEX"] = index.split()[0]
    certificate = _pip_setting("cert")
    if certificate and "SSL_CERT_FILE" not in env:
        env["SSL_CERT_FILE"] = certificate
    return env


def find_or_fetch(home: Path) -> Path:
    """The path of a working uv: on PATH, beside this interpreter, kept in `home`, or fetched into it.

    Raises NoUvError when none can be had.
    """
    for found in (shutil.which("uv"), str(Path(sys.executable).parent / "uv"), str(home / "bin" / "uv")):
        if found and _answers(Path(found)):
            return Path(found)
    wanted = home / "bin" / "uv"
    wanted.parent.mkdir(parents=True, exist_ok=True)
    pip_said = _by_pip(wanted)
    if pip_said is None:
        return wanted
    try:
        _by_index(wanted)
    except (OSError, ValueError, LookupError) as error:
        raise NoUvError(
            f"uv is needed and could not be fetched.\n  pip: {pip_said}\n  package index: {error}\n"
            "hint: install uv (https://docs.astral.sh/uv/getting-started/installation/) and run this again"
        ) from error
    return wanted


def _answers(uv: Path) -> bool:
    try:
        return subprocess.run([uv, "--version"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _pip_setting(name: str) -> str | None:
    """One pip setting, from its variable or from pip.conf (read as a file: pip itself takes 0.3 s)."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    import configparser

    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [os.environ.get("PIP_CONFIG_FILE"), config_home / "pip/pip.conf", Path.home() / ".pip/pip.conf"]
    for file in (*files, "/etc/pip.conf"):
        parser = configparser.RawConfigParser()
        try:
            parser.read([str(file)] if file else [])
        except (OSError, configparser.Error):
            continue
        for section in ("install", "global"):
            if parser.has_option(section, name):
                return parser.get(section, name)
    return None


def _by_pip(wanted: Path) -> str | None:
    """Fetch by pip into a scratch folder; None when it worked, else pip's last line."""
    with tempfile.TemporaryDirectory(dir=wanted.parent) as scratch:
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", scratch, "uv"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        binary = Path(scratch) / "bin" / "uv"
        if done.returncode == 0 and binary.exists():
            binary.replace(wanted)
            return None
        return (done.stderr.strip().splitlines() or ["no uv in what it installed"])[-1]


def _by_index(wanted: Path) -> None:
    index = (_pip_setting("index-url") or "https://pypi.org/simple").split()[0].rstrip("/") + "/uv/"
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    wheel = _newest_wheel(json.loads(_get(index, _ACCEPT))["files"], machine)
    body = _get(urllib.parse.urljoin(index, wheel["url"]), "*/*")
    if hashlib.sha256(body).hexdigest() != wheel["hashes"]["sha256"]:
        raise ValueError(f"{wheel['filename']}: its SHA-256 is not the one the index gives")
    with tempfile.TemporaryDirectory(dir=wanted.parent) as scratch:
        archive = Path(scratch) / "uv.whl"
        archive.write_bytes(body)
        with zipfile.ZipFile(archive) as opened:
            member = next((n for n in opened.namelist() if n.endswith("/scripts/uv")), "")
            if not member:
                raise LookupError(f"{wheel['filename']}: no uv in it")
            binary = Path(scratch) / "uv"
            binary.write_bytes(opened.read(member))
        binary.chmod(0o755)
        binary.replace(wanted)


def _newest_wheel(files: list[dict], machine: str) -> dict:  # type: ignore[type-arg]
    libc = "musllinux" if list(Path("/lib").glob("ld-musl-*")) else "manylinux"
    fit = [
        f for f in files if f["filename"].endswith(f"{machine}.whl") and libc in f["filename"] and not f.get("yanked")
    ]
    if not fit:
        raise LookupError(f"no uv wheel for {libc} {machine}")

    def version(entry: dict) -> tuple[int, ...]:  # type: ignore[type-arg]
        return tuple(int(p) if p.isdigit() else -1 for p in entry["filename"].split("-")[1].split("."))

    return max(fit, key=version)


def _get(url: str, accept: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})
    certificate = os.environ.get("SSL_CERT_FILE") or _pip_setting("cert")
    context = ssl.create_default_context(cafile=certificate) if url.startswith("https") else None
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:
        return bytes(answer.read())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dir", nargs="?", type=Path, default=default_home(), help="where a fetched uv is kept")
    try:
        print(find_or_fetch(parser.parse_args().dir))
    except NoUvError as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
