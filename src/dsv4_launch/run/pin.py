"""What a config's image tag and model repository stand for today, read from their registries, and writing it down.

A digest or commit is never guessed: it is what the image's registry (asked through the Docker engine, with its proxy
and logins) and the Hub answered.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dsv4_launch.config.edit import Change
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.errors import ImpossibleError, InputError, Problem, ToolError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.images import LOCAL_PREFIX, pull_failed

HUB_S: Final = 30.0
DEFAULT_HUB: Final = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIN = "`dsv4 pin` with the config's file writes it."
_ELSEWHERE = "Run it on a machine that can reach it, and commit the config that it writes."

# Word of the failure: what it means, what to do; the code is ``hub-`` and the word.
HUB_SAYS: Final[Mapping[str, tuple[str, str]]] = {
    "gated": (
        "The Hub does not tell the commit of {repo}: it is gated, and this token may not read it (or there is none).",
        "Accept its terms at https://huggingface.co/{repo}, then `export {token}=…`.",
    ),
    "denied": ("The Hub refuses {repo} to this token (or there is none).", "Check it, then `export {token}=…`."),
    "no-repo": (
        "The Hub has no model {repo}, or this token may not see it.",
        "Correct model.repo; for a private one `export {token}=…`.",
    ),
    "offline": ("HF_HUB_OFFLINE forbids to ask the Hub for {repo}.", "Unset HF_HUB_OFFLINE."),
    "rate-limit": ("The Hub's request limit is reached.", "`export {token}=…` raises it; or wait."),
    "unreachable": (
        "The Hub cannot be reached at {hub}.",
        "Check the network, HTTPS_PROXY and HF_ENDPOINT. " + _ELSEWHERE,
    ),
    "server-error": ("The Hub fails: it answers with an error of its own.", "Try again later. " + _ELSEWHERE),
    "failed": ("The Hub did not tell the commit of {repo} ({error}).", _ELSEWHERE),
}


@dataclass(frozen=True, slots=True)
class Source:
    """What there is to pin: an image reference without its digest, a repository, and what the config has of each."""

    image: str
    image_digest: str
    repo: str
    revision: str

    @property
    def commit(self) -> str:
        """The commit that the config names, "" for a branch, a tag or nothing."""
        return self.revision if _COMMIT.fullmatch(self.revision) else ""


@dataclass(frozen=True, slots=True)
class Pins:
    """What the registries say; "" for what there is not to pin. ``newest`` is the head of the repository's main."""

    image: str
    commit: str
    newest: str


def source_of(plan: Plan, config: LaunchConfig) -> Source:
    """What of a plan comes from a registry. Raises ImpossibleError when nothing does."""
    image = plan.container.image if plan.target == "docker" or config.container.image else ""
    if image.startswith(LOCAL_PREFIX):
        image = ""
    repo = "" if plan.model.local else plan.model.repo
    if not image and not repo:
        raise ImpossibleError(
            f"{plan.name} has nothing to pin: its image and model are not fetched from a registry.",
            fix="A deployment with a registry's image or a Hub repository can be pinned.",
            code="nothing-to-pin",
        )
    name, _, digest = image.partition("@")
    return Source(name if digest or not name or _tagged(name) else f"{name}:latest", digest, repo, plan.model.revision)


def unpinned(source: Source, where: Callable[[tuple[str | int, ...]], str]) -> list[Problem]:
    """Why the config can mean something else tomorrow; none when digest and commit are written."""
    problems = []
    if source.image and not _DIGEST.fullmatch(source.image_digest):
        message, at = f"The image {source.image} has no digest.", where(("container", "image"))
        problems.append(Problem("image-not-pinned", message, at, _PIN))
    if source.repo and not source.commit:
        state = f"names {source.revision}, not a commit" if source.revision else "is not pinned to a commit"
        message, at = f"The model {source.repo} {state}.", where(("model", "revision"))
        problems.append(Problem("model-not-pinned", message, at, _PIN))
    return problems


def read_image(client: Any, source: Source) -> str:
    """The image with the digest that its registry has for the tag today (of a reference without tag: its own digest).

    ``client`` is one of the docker package. Raises ToolError: no such image, registry unreachable or refusing.
    """
    import docker
    import requests

    ref = source.image if _tagged(source.image) else f"{source.image}@{source.image_digest}"
    try:
        found = str(client.api.inspect_distribution(ref)["Descriptor"]["digest"])
    except docker.errors.APIError as error:
        raise _image_failed(ref, str(error.explanation or error)) from None
    except requests.exceptions.RequestException as error:
        raise _image_failed(ref, f"the engine hung up: {type(error).__name__}") from None
    except (KeyError, TypeError):
        raise _image_failed(ref, "the engine's answer holds no digest") from None
    if not _DIGEST.fullmatch(found):
        raise _image_failed(ref, f"this is no digest: {found[:80]!r}")
    return f"{source.image}@{found}"


def read_commit(source: Source, environ: Mapping[str, str], token_name: str, where: str) -> tuple[str, str]:
    """The commit that the config's revision stands for, and the head of main.

    The Hub is that of HF_ENDPOINT; the token that of the named variable, else of `hf auth login`. Raises ToolError, or
    InputError (code ``no-revision``) when the repository has no such revision.
    """
    head = _ask_hub(source.repo, "", environ, token_name, where)
    return (_ask_hub(source.repo, source.revision, environ, token_name, where) if source.revision else head), head


def changes_of(config: LaunchConfig, variant: str, source: Source, pins: Pins) -> list[Change]:
    """The edits of the config text. A catalog key becomes a table that still says which checkpoint it is."""
    changes: list[Change] = []
    if pins.commit and isinstance(config.model, str):
        changes.append((("model",), {"repo": source.repo, "revision": pins.commit, "variant": variant}))
    elif pins.commit:
        changes.append((("model", "revision"), pins.commit))
    if pins.image:
        changes.append((("container", "image"), pins.image))
    return changes


def write(path: Path, before: bytes, after: bytes) -> None:
    """Replace a file at once, its mode and owner kept; a link stays a link.

    Raises InputError when it cannot be written, or is not what it was when it was read.
    """
    path = path.resolve()
    temporary = ""
    try:
        if path.read_bytes() != before:
            raise InputError("The file was changed meanwhile; nothing was written.", where=str(path), fix="Run again.")
        status = path.stat()
        number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(number, "wb") as file:
            file.write(after)
            os.fchmod(number, status.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(number, status.st_uid, status.st_gid)
            file.flush()
            os.fsync(number)
        Path(temporary).replace(path)
        temporary = ""
    except OSError as error:
        raise InputError(f"The file cannot be written: {error.strerror or error}.", where=str(path)) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def hub_of(environ: Mapping[str, str]) -> str:
    """The Hub's address, without a password that may stand in it."""
    url = environ.get("HF_ENDPOINT") or DEFAULT_HUB
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}".rstrip("/")


def _tagged(image: str) -> bool:
    return ":" in image.rpartition("/")[2]


def _ask_hub(repo: str, revision: str, environ: Mapping[str, str], token_name: str, where: str) -> str:
    from huggingface_hub import HfApi

    from dsv4_launch.run.weights.hub_errors import kind_of

    api = HfApi(endpoint=environ.get("HF_ENDPOINT") or DEFAULT_HUB, token=environ.get(token_name) or None)
    try:
        found = api.model_info(repo, revision=revision or None, timeout=HUB_S).sha or ""
    except Exception as error:  # the HTTP library's own failures come through
        kind = kind_of(error)
        if kind == "no-revision":
            raise InputError(
                f"{repo} has no revision {revision}.", where=where, fix="Correct model.revision.", code="no-revision"
            ) from None
        kind = kind if kind in HUB_SAYS else "failed"
        message, fix = HUB_SAYS[kind]
        known = {"repo": repo, "token": token_name, "hub": hub_of(environ), "error": type(error).__name__}
        raise ToolError(message.format(**known), where=where, fix=fix.format(**known), code=f"hub-{kind}") from None
    if not _COMMIT.fullmatch(found):
        raise ToolError(
            f"The Hub's answer for {repo} holds no commit.", where=where, fix="Check HF_ENDPOINT.", code="hub-failed"
        )
    return found


def _image_failed(ref: str, said: str) -> ToolError:
    known = pull_failed(ref, said).problems[0]
    message, fix = known.message, known.fix
    if known.code == "image-pull":
        message, fix = f"The registry did not tell the digest of {ref}.", "See that `docker pull` of it works."
    elif known.code == "registry-unreachable":
        fix = f"Check the network and the engine's proxy settings (`docker info`). {_ELSEWHERE}"
    return ToolError(Problem("registry" if known.code == "image-pull" else known.code, message, known.where, fix))
