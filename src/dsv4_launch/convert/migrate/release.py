"""The release that a config is for, and the edits that name another one."""

from __future__ import annotations

import re
from typing import Any

from dsv4_launch.config.load import Loaded
from dsv4_launch.config.yaml_text import Path
from dsv4_launch.errors import InputError, Problem
from dsv4_launch.plan.lookup import look_up

_OFFICIAL = re.compile(r"(?P<name>(docker\.io/)?vllm/vllm-openai)(:(?P<tag>[\w.-]+))?(?P<digest>@sha256:[0-9a-f]{64})?")
_TAG = re.compile(r"v(?P<version>\d+\.\d+\.\d+[A-Za-z0-9.]*)(?P<flavour>-[\w.-]+)?")
_ANY_TAG = re.compile(r":v?(\d+\.\d+\.\d+[A-Za-z0-9.]*)")


def release_of(loaded: Loaded) -> str:
    """The release that a config is for. Raises InputError when nothing says it, or two things say two."""
    config = loaded.config
    known, problems = look_up(config, loaded.origins.where)
    if known is not None:
        return known.version
    mine = [problem for problem in problems if problem.code in ("version-missing", "version-conflict")]
    tag = _ANY_TAG.search(config.container.image or "")
    if mine or not (config.vllm or tag):
        raise InputError(*(mine or problems))
    return config.vllm or (tag.group(1) if tag else "")


def set_release(loaded: Loaded, before: str, to: str) -> tuple[list[tuple[Path, Any, str]], list[str], list[Problem]]:
    """The edits (path, value, why) that make ``to`` the config's release, what to say, and what stands in the way."""
    config = loaded.config
    if before == to:
        return [], [], []
    edits: list[tuple[Path, Any, str]] = []
    notes: list[str] = []
    if config.vllm or not config.container.image:
        edits.append((("vllm",), to, "the release that was asked for"))
    if config.target.type == "native":
        notes.append(f"The environment of target.executable must hold vLLM {to}: dsv4 installs nothing there.")
    image = config.container.image
    if not image:
        return edits, notes, []
    official = _OFFICIAL.fullmatch(image)
    if official is None:
        if not _ANY_TAG.search(image):
            return edits, [*notes, f"container.image {image} must hold vLLM {to}: its name does not tell."], []
        where = loaded.origins.where(("container", "image"))
        fix = f"Set container.image to an image with vLLM {to}, and vllm; or leave the image out for the official one."
        return (
            edits,
            notes,
            [Problem("image-own", f"{image} is not vLLM's own image: its tags are not known.", where, fix)],
        )
    tag = _TAG.fullmatch(official["tag"] or "")
    flavour = (tag["flavour"] or "") if tag else ""
    edits.append((("container", "image"), f"{official['name']}:v{to}{flavour}", "the image of that release"))
    if official["digest"]:
        notes.append(f"The image's digest belonged to vLLM {before} and was dropped: `dsv4 pin` writes the new one.")
    if flavour:
        notes.append(f"See that the image v{to}{flavour} exists: not every release has each flavour.")
    return edits, notes, []
