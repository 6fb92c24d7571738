"""What the placeholders of a command stand for here: the same answers that a POSIX shell finds."""

import os
import pwd
from collections.abc import Mapping

from dsv4_launch.values import Places


def find_places(env: Mapping[str, str] | None = None) -> Places:
    """The places of this host, by the rules of `values.SHELL_FORMS`: an empty variable counts as unset."""
    known = os.environ if env is None else env
    home = known.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - a shell's text, not a path to open
    cache = known.get("XDG_CACHE_HOME") or f"{home}/.cache"
    return {
        "home": home,
        "hf_home": known.get("HF_HOME") or f"{home}/.cache/huggingface",
        "dsv4_cache": f"{cache}/dsv4",
        "rehearsal_home": known.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal",
        "user": _user(),
        "path": known.get("PATH") or os.defpath,
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a uid without a name, as in many containers; `id -un` fails there too
        return str(os.geteuid())
