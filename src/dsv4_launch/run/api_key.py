"""The API key of a deployment: from the variable or the file that its config names. Never printed, never in argv."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from dsv4_launch.errors import HostError
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Places, fill

_LONGEST = 4096


def with_key(plan: Plan, environ: Mapping[str, str], places: Places) -> Mapping[str, str]:
    """The environment with the key of the plan's file in the variable that it is handed on in. Raises HostError."""
    if not plan.api_key_file:
        return environ
    return {**environ, plan.api_key_env: read_key(fill(plan.api_key_file, places))}


def key_of(server: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """The key of a running config's ``server`` table, "" for none or one that this user does not have."""
    if path := str(server.get("api_key_file") or ""):
        try:
            return read_key(at_home(path, environ))
        except HostError:
            return ""
    variable = str(server.get("api_key_env") or "")
    return environ.get(variable, "") if variable else ""


def at_home(path: str, environ: Mapping[str, str]) -> str:
    """A path as a config writes it, with ``~`` filled in."""
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - a shell's text, not a path to open
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def read_key(path: str) -> str:
    """The key in a file that its owner alone may read. Raises HostError: no such file, open to others, not one line."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _refused(f"cannot be read: {error.strerror}", path, "server.api_key_file names it.") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise _refused("is no regular file", path, "Write the key into a file of its own.")
        if about.st_mode & 0o077:
            raise _refused(f"is open to others (mode {about.st_mode & 0o777:04o})", path, f"chmod 600 {path}")
        if about.st_uid not in (0, os.geteuid()):
            raise _refused("belongs to another user", path, f"chown it: sudo chown $(id -un) {path}")
        text = os.read(handle, _LONGEST + 1)
    finally:
        os.close(handle)
    key = text.removesuffix(b"\n").removesuffix(b"\r")
    if not key or len(text) > _LONGEST or any(not 0x21 <= byte <= 0x7E for byte in key):
        raise _refused("does not hold one line of printable ASCII without spaces", path, "Write nothing but the key.")
    return key.decode("ascii")


def _refused(why: str, path: str, fix: str) -> HostError:
    return HostError(f"The file of the API key {why}.", where=path, fix=fix, code="key-file")
