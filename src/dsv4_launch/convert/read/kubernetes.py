"""A container of a pod as a launch. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dsv4_launch.convert.read.entry import engine_words
from dsv4_launch.convert.read.launch import Launch, Option, Variable
from dsv4_launch.convert.read.shell_text import read_command
from dsv4_launch.convert.read.words import Fault, Word, moved, span_of
from dsv4_launch.convert.read.yaml_nodes import Scalar, get, is_true, items, scalar, text_of

_PLACEHOLDER = re.compile(r"\$\(\w+\)|\{\{")


def container_launch(container: Any, pod: dict[str, Any], name: str, text: str) -> Launch | None:
    """The launch of one container; None when it does not start vLLM."""
    image = scalar(container, "image")
    command = _words(container, "command")
    arguments = _words(container, "args")
    faults: tuple[Fault, ...] = ()
    if len(command) == 1 and any(map(str.isspace, command[0].text.strip())):
        # A whole command in one word: it is read as it was meant, and said to be wrong.
        faults = (Fault("one-word-command", *command[0].span),)
        offset = command[0].exact if command[0].exact >= 0 else None
        command = tuple(moved(read_command(command[0].text, 0).words, offset, command[0].span))
    read = engine_words(command or None, arguments, image.word if image else None, text)
    if image is None or not read.engine:
        return None
    return Launch(
        kind="kubernetes",
        program="kubectl",
        span=span_of(read.engine),
        engine=read.engine,
        image=image.word,
        options=tuple(_options(container, pod, name or text_of(container, "name"), image)),
        variables=(*_variables(container), *read.variables),
        faults=(*faults, *read.faults),
        loose=read.loose,
        name=name,
    )


def _words(container: Any, key: str) -> tuple[Word, ...]:
    found = [item for item in items(container, key) if isinstance(item, Scalar)]
    return tuple(
        Word(i.text, *i.span, opaque=bool(_PLACEHOLDER.search(i.text)), exact=i.span[0] if i.exact else -1)
        for i in found
    )


def _variables(container: Any) -> Iterator[Variable]:
    for item in items(container, "env"):
        name, value = scalar(item, "name"), scalar(item, "value")
        if name is not None and value is not None:
            yield Variable(name.text, value.text, name.span, bool(_PLACEHOLDER.search(value.text)))
        elif name is not None:
            yield Variable(name.text, None, name.span)


def _options(container: Any, pod: dict[str, Any], name: str, image: Scalar) -> Iterator[Option]:
    yield Option("name", name, (image.word,))
    if is_true(pod, "hostIPC"):
        yield Option("ipc", "host", (pod["hostIPC"].word,))
    if is_true(pod, "hostNetwork"):
        yield Option("network", "host", (pod["hostNetwork"].word,))
    if is_true(container, "securityContext", "privileged"):
        yield Option("privileged", None, (container["securityContext"]["privileged"].word,))
    gpus = scalar(container, "resources", "limits", "nvidia.com/gpu")
    if gpus is not None:
        yield Option("gpus", gpus.text, (gpus.word,))
    for port in items(container, "ports"):
        number = scalar(port, "containerPort")
        if number is not None:
            yield Option("expose", number.text, (number.word,))
    volumes = {text_of(volume, "name"): volume for volume in items(pod, "volumes")}
    for mount in items(container, "volumeMounts"):
        path = scalar(mount, "mountPath")
        if path is None:
            continue
        volume = volumes.get(text_of(mount, "name"))
        if path.text == "/dev/shm":  # noqa: S108 - compared, not used
            size = text_of(volume, "emptyDir", "sizeLimit") or "all"
            yield Option("shm-size", size.removesuffix("i").lower(), (path.word,))
            continue
        read_only = ":ro" if is_true(mount, "readOnly") else ""
        if get(volume, "emptyDir") is None:  # what a pod loses when it goes is no mount
            source = text_of(volume, "hostPath", "path") or text_of(mount, "name")
            yield Option("volume", f"{source}:{path.text}{read_only}", (path.word,))
