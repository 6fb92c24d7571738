"""The image: is it here, and if not, pull it with one total of all its layers."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dsv4_launch.errors import Problem, ToolError
from dsv4_launch.run.progress import Now, Progress
from dsv4_launch.values import counted

# A layer of several GB is unpacked without a word; a registry that sends nothing for this long will not any more.
NO_PROGRESS_S: Final = 300.0
# Images with this prefix are built on the machine: no registry has them.
LOCAL_PREFIX: Final = "dsv4-"

_LOAD = "or bring it from another machine: `docker save IMAGE | ssh HOST docker load`"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One way in which a pull fails: the text that tells it, what to say and what to do."""

    code: str
    pattern: str
    message: str
    fix: str


_KNOWN = (
    _Refusal(
        "image-not-found",
        r"manifest unknown|manifest for \S+ not found|not found: manifest|no matching manifest",
        "The registry has no image {ref}.",
        "Check the tag (https://hub.docker.com/r/vllm/vllm-openai/tags) and correct vllm or container.image.",
    ),
    _Refusal(
        "registry-rate-limit",
        r"toomanyrequests|too many requests|rate limit",
        "The registry refuses {ref} for now: its pull limit is reached.",
        "`docker login` raises the limit; or wait.",
    ),
    _Refusal(
        "registry-denied",
        r"pull access denied|unauthorized|denied|authentication required|no basic auth",
        "The registry does not give {ref} to this user, or has no such image.",
        "Check the name, and `docker login` to the registry if it is private.",
    ),
    _Refusal(
        "disk-full",
        r"no space left on device|disk quota exceeded",
        "The Docker engine's disk is full; {ref} does not fit.",
        "Free some with `docker system df` and `docker image prune`, or move the engine's data-root.",
    ),
    _Refusal(
        "registry-unreachable",
        r"dial tcp|no such host|i/o timeout|connection refused|connection reset|TLS handshake|deadline exceeded"
        r"|network is unreachable|x509|proxyconnect|server misbehaving|EOF",
        "The registry of {ref} cannot be reached.",
        "Check the network and the engine's proxy settings (`docker info`), " + _LOAD + ".",
    ),
)


@dataclass(slots=True)
class Layers:
    """The layers of a pull: bytes of each as the engine tells them, and what each of them is doing."""

    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    unpacked: dict[str, int] = field(default_factory=dict)

    def read(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine's stream."""
        layer, status = str(event.get("id") or ""), str(event.get("status") or "")
        if not layer or status.startswith("Pulling from"):
            return
        self.status[layer] = status
        detail = event.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self.done[layer], self.total[layer] = int(detail.get("current") or 0), int(detail["total"])
        elif status in ("Download complete", "Verifying Checksum", "Extracting", "Pull complete"):
            self.done[layer] = self.total.get(layer, 0)
            self.unpacked[layer] = int(detail.get("current") or 0)

    def now(self, ref: str) -> Now:
        """All of it as one line."""
        ready = sum(status in ("Pull complete", "Already exists") for status in self.status.values())
        return Now(
            f"pulling {ref}",
            sum(self.done.values()),
            sum(self.total.values()),
            "B",
            f"{ready} of {counted(len(self.status), 'layer')} ready" if self.status else "",
        )


def ensure_image(
    client: Any, ref: str, progress: Progress, *, pull: bool = True, no_progress_s: float = NO_PROGRESS_S
) -> bool:
    """Make sure that the image is on the engine; True when it was pulled.

    ``client`` is one of the docker package. Raises ToolError: no such tag, registry unreachable or refusing, disk full,
    no progress, or a missing image that may not be pulled.
    """
    import docker

    try:
        client.api.inspect_image(ref)
    except docker.errors.ImageNotFound:
        pass
    else:
        return False
    if ref.startswith(LOCAL_PREFIX):
        raise ToolError(
            f"The image {ref} is not here, and no registry has it: it is built on the machine that rehearses.",
            where=f"image {ref}",
            fix="Build it with `./scripts/rig`, or rehearse without docker: `--target native`.",
            code="image-missing",
        )
    if not pull:
        raise ToolError(
            f"The image {ref} is not here, and --no-pull forbids to fetch it.",
            where=f"image {ref}",
            fix=f"Run `docker pull {ref}`, or leave --no-pull out.",
            code="image-missing",
        )
    progress.say(f"The image {ref} is not here yet; pulling it")
    try:
        follow(_events(client, ref), ref, progress, no_progress_s)
    finally:
        progress.close()
    progress.say(f"The image {ref} is here")
    return True


def digest_of_image(client: Any, ref: str) -> str:
    """The registry digest of an image that is here, or its id where no registry knows it; "" when it is not here."""
    import docker

    try:
        found = client.api.inspect_image(ref)
    except docker.errors.DockerException:
        return ""
    digests = [str(digest) for digest in found.get("RepoDigests") or ()]
    return digests[0].partition("@")[2] if digests else str(found.get("Id") or "")


def put_back(client: Any, ref: str, digest: str, progress: Progress) -> None:
    """Let a name stand for the image that it stood for: by its registry digest or its id, if that image is still here.

    Nothing is pulled. An image that is gone is told: the launch takes what the name stands for now.
    """
    import docker

    if "@" in ref or digest_of_image(client, ref) == digest:
        return
    name, tag = docker.utils.parse_repository_tag(ref)
    for known in (f"{name}@{digest}", digest):
        try:
            found = client.api.inspect_image(known)
            client.api.tag(found["Id"], name, tag or "latest", force=True)
        except docker.errors.APIError:
            continue
        progress.say(f"{ref} stands for {digest[:19]} again, which ran before")
        return
    progress.say(f"warning: the image {digest[:19]} that ran as {ref} before is not here any more")


def follow(
    events: Iterable[Mapping[str, Any] | None],
    ref: str,
    progress: Progress,
    no_progress_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Read a pull to its end; None among the events means that there was none for a while.

    Raises ToolError for an error event, or when nothing moves for too long.
    """
    layers = Layers()
    last: object = None
    moved_s = clock()
    for event in events:
        if event is not None and "error" in event:
            raise pull_failed(ref, str(event["error"]))
        layers.read(event or {})
        now = layers.now(ref)
        # "Retrying in 5 seconds" comes again and again: only bytes and steps of layers count.
        state = (now.done, now.detail, tuple(sorted(layers.unpacked.items())))
        if state != last:
            last, moved_s = state, clock()
        elif clock() - moved_s > no_progress_s:
            raise ToolError(
                f"Pulling {ref} made no progress for {no_progress_s:.0f} s.",
                where=f"image {ref}",
                fix="Check the network and the registry; layers that are complete are kept, so try again.",
                code="pull-stalled",
            )
        progress.show(now)


def pull_failed(ref: str, said: str) -> ToolError:
    """The error for what the engine said about a pull."""
    for one in _KNOWN:
        if re.search(one.pattern, said, re.IGNORECASE):
            fix = one.fix.replace("IMAGE", ref)
            return ToolError(Problem(one.code, one.message.format(ref=ref), said[:600], fix))
    return ToolError(
        Problem("image-pull", f"Pulling {ref} failed.", said[:600], f"Try `docker pull {ref}` by hand, {_LOAD}.")
    )


def _events(client: Any, ref: str) -> Iterator[Mapping[str, Any] | None]:
    """The engine's events, and None every second without one: the docker package reads them without a timeout."""
    import docker

    # Without tag or digest the engine would pull every tag.
    name, tag = docker.utils.parse_repository_tag(ref)
    read: queue.SimpleQueue[Mapping[str, Any] | BaseException | None] = queue.SimpleQueue()

    def reads() -> None:
        try:
            for event in client.api.pull(name, tag=tag or "latest", stream=True, decode=True):
                read.put(event)
            read.put(None)
        except BaseException as error:  # told by the one who waits
            read.put(error)

    # A read cannot be ended, only left behind; the engine ends the pull when this process does.
    threading.Thread(target=reads, name="pull", daemon=True).start()
    while True:
        try:
            found = read.get(timeout=1.0)
        except queue.Empty:
            yield None
            continue
        if found is None:
            return
        if isinstance(found, BaseException):
            raise pull_failed(ref, str(getattr(found, "explanation", "") or found)) from None
        yield found
