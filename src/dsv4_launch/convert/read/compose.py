"""A service of a compose file as a launch. https://docs.docker.com/reference/compose-file/services/"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsv4_launch.convert.read.entry import engine_words
from dsv4_launch.convert.read.launch import Launch, Option, Variable
from dsv4_launch.convert.read.shell_text import read_command
from dsv4_launch.convert.read.words import Span, Word, moved, span_of
from dsv4_launch.convert.read.yaml_nodes import Scalar, entries, get, is_true, items, scalar, text_of

_SCALARS = {
    "container_name": "name",
    "ipc": "ipc",
    "shm_size": "shm-size",
    "runtime": "runtime",
    "restart": "restart",
    "network_mode": "network",
    "user": "user",
    "working_dir": "workdir",
    "hostname": "hostname",
    "pid": "pid",
    "mem_limit": "memory",
}
_LISTS = {"volumes": "volume", "ports": "publish", "cap_add": "cap-add", "devices": "device", "env_file": "env-file"}
_SWITCHES = {"privileged": "privileged", "tty": "tty", "stdin_open": "interactive", "init": "init"}


def compose_launch(name: str, service: Any, text: str) -> Launch | None:
    """The launch of one service; None when it does not start vLLM."""
    image = scalar(service, "image")
    entry = command_words(get(service, "entrypoint"))
    command = command_words(get(service, "command")) or ()
    read = engine_words(entry, command, image.word if image else None, text)
    if not read.engine or (image is None and entry is None):
        return None
    options = tuple(_options(service))
    if not any(option.name == "name" for option in options) and image is not None:
        options = (Option("name", name, (image.word,)), *options)
    return Launch(
        kind="compose",
        program="docker compose",
        span=span_of(read.engine),
        engine=read.engine,
        image=image.word if image else None,
        options=options,
        variables=(*variables(get(service, "environment")), *read.variables),
        faults=read.faults,
        loose=read.loose,
        name=name,
    )


def command_words(node: Any) -> tuple[Word, ...] | None:
    """A command as text, which is split as a shell would, or as a list; None when there is none."""
    if isinstance(node, Scalar):
        simple = read_command(node.text.replace("\n", " "), 0)
        return moved(simple.words, node.span[0] if node.exact else None, node.span)
    if isinstance(node, list):
        return tuple(item.word for item in node if isinstance(item, Scalar))
    return None


def variables(node: Any) -> tuple[Variable, ...]:
    """``environment`` in both forms."""
    if isinstance(node, list):
        found = []
        for item in node:
            if isinstance(item, Scalar):
                name, equals, value = item.text.partition("=")
                found.append(Variable(name, value if equals else None, item.span, "${" in value))
        return tuple(found)
    return tuple(
        Variable(
            key.text, value.text if isinstance(value, Scalar) else "", key.span, "${" in getattr(value, "text", "")
        )
        for key, value in entries(node)
    )


def _options(service: Any) -> Iterator[Option]:
    for key, name in _SCALARS.items():
        said = scalar(service, key)
        if said is not None:
            yield Option(name, said.text, (said.word,), "${" in said.text)
    for key, name in _LISTS.items():
        for item in items(service, key):
            if isinstance(item, Scalar):
                yield Option(name, item.text, (item.word,), "${" in item.text)
            elif isinstance(item, dict):
                yield from _long_form(name, item)
    for key, name in _SWITCHES.items():
        if is_true(service, key):
            yield Option(name, None, (service[key].word,))
    yield from _gpus(service)
    for limit, value in entries(get(service, "ulimits")):
        if isinstance(value, Scalar):
            yield Option("ulimit", f"{limit.text}={value.text}", (value.word,))
        elif scalar(value, "soft"):
            both = f"{limit.text}={text_of(value, 'soft')}:{text_of(value, 'hard')}"
            yield Option("ulimit", both, (limit.word,))


def _long_form(name: str, item: dict[str, Any]) -> Iterator[Option]:
    place: Span | None = next((v.span for _, v in entries(item) if isinstance(v, Scalar)), None)
    if place is None:
        return
    if name == "volume":
        read_only = ":ro" if is_true(item, "read_only") else ""
        text = f"{text_of(item, 'source')}:{text_of(item, 'target')}{read_only}"
    else:
        host = text_of(item, "host_ip")
        text = f"{host + ':' if host else ''}{text_of(item, 'published')}:{text_of(item, 'target')}"
    yield Option(name, text, (Word(text, *place),), "${" in text)


def _gpus(service: Any) -> Iterator[Option]:
    if (said := scalar(service, "gpus")) is not None:
        yield Option("gpus", said.text, (said.word,))
    for device in items(service, "deploy", "resources", "reservations", "devices"):
        ids, count = items(device, "device_ids"), scalar(device, "count")
        if ids and all(isinstance(i, Scalar) for i in ids):
            yield Option("gpus", "device=" + ",".join(i.text for i in ids), tuple(i.word for i in ids))
        elif count is not None:
            yield Option("gpus", count.text, (count.word,))
