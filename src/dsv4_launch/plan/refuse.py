"""What is refused beside flags and constraints: secrets in a config, and layouts that no node has."""

from __future__ import annotations

from collections.abc import Callable

from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.errors import Problem
from dsv4_launch.plan.lookup import Known
from dsv4_launch.plan.parts import gpu_count
from dsv4_launch.plan.secrets import looks_like_a_secret
from dsv4_launch.plan.settings import Settings
from dsv4_launch.values import counted

Where = Callable[[tuple[str | int, ...]], str]


def secrets(config: LaunchConfig, where: Where) -> list[Problem]:
    """A problem for everything that looks like a secret itself, where a variable's name is wanted."""
    fix = "Export it under a variable's name, and write that name."
    problems = [
        Problem(
            "secret-in-config",
            f"{'.'.join(path)} holds what looks like a secret, not the name of a variable.",
            where(path),
            fix,
        )
        for path, name in (
            (("secrets", "hf_token"), config.secrets.hf_token),
            (("server", "api_key_env"), config.server.api_key_env or ""),
            *((("secrets", "pass_through"), name) for name in config.secrets.pass_through),
        )
        if looks_like_a_secret("", name)
    ]
    problems += [
        Problem(
            "secret-in-config",
            f"env.{name} would put a secret into a config.",
            where(("env", name)),
            f"Export {name} and write secrets: {{pass_through: [{name}]}}.",
        )
        for name, value in config.env.items()
        if looks_like_a_secret(name, value)
    ]
    return problems + _watch_secrets(config, where)


def _watch_secrets(config: LaunchConfig, where: Where) -> list[Problem]:
    """What is told of a failure, and to whom, holds no secret; a webhook comes from one place only."""
    told, path = config.watch.on_failure, ("watch", "on_failure")
    problems = [
        Problem(
            "secret-in-config",
            "watch.on_failure.command holds what looks like a secret.",
            where((*path, "command", n)),
            "Let the command read it from a file or a variable of its own.",
        )
        for n, word in enumerate(told.command or ())
        if looks_like_a_secret("", word) or looks_like_a_secret(*word.lstrip("-").replace("-", "_").partition("=")[::2])
    ]
    if told.webhook and looks_like_a_secret("", told.webhook):
        fix = "Export the URL, and name its variable in watch.on_failure.webhook_env."
        problems.append(
            Problem("secret-in-config", "watch.on_failure.webhook holds a secret.", where((*path, "webhook")), fix)
        )
    if told.webhook_env and looks_like_a_secret("", told.webhook_env):
        message = "watch.on_failure.webhook_env holds what looks like a secret, not the name of a variable."
        problems.append(Problem("secret-in-config", message, where((*path, "webhook_env"))))
    if told.webhook and told.webhook_env:
        message = "watch.on_failure names a webhook twice: by URL and by variable."
        problems.append(Problem("webhook-twice", message, where((*path, "webhook")), "Keep one of them."))
    if told.command == ():
        message = "watch.on_failure.command is empty."
        problems.append(
            Problem("empty-command", message, where((*path, "command")), "Name a program, or leave it out.")
        )
    return problems


_OPTION_FIELDS = {
    "e": "env", "env": "env", "name": "name", "gpus": "gpus", "runtime": "container.runtime", "ipc": "container.ipc",
    "shm-size": "container.shm_size", "restart": "target.restart", "network": "container.network",
    "net": "container.network", "d": "", "detach": "", "i": "", "t": "", "it": "", "ti": "", "rm": "",
}  # fmt: skip


def options(config: LaunchConfig, where: Where) -> list[Problem]:
    """Words of ``container.options`` that have a field of their own, or that would undo how the container is run."""
    problems: list[Problem] = []
    for n, word in enumerate(config.container.options):
        path = ("container", "options", n)
        name = word.partition("=")[0].lstrip("-") if word.startswith("-") else None
        if name == "network" and word != "--network=host" and word != "--network":
            continue  # a network of its own name
        if name == "privileged":
            why = "container.options holds --privileged, which gives the server, and any code in it, the whole machine."
            fix = "Leave it out: vLLM needs it on no GPU. One device is added by --device."
            problems.append(Problem("privileged", why, where(path), fix))
        elif name in _OPTION_FIELDS:
            field = _OPTION_FIELDS[name]
            fix = f"Use {field}." if field else "Leave it out: the container runs detached and is kept."
            problems.append(Problem("option-misplaced", f"container.options holds {word}.", where(path), fix))
        elif looks_like_a_secret("", word) or looks_like_a_secret(
            *word.lstrip("-").replace("-", "_").partition("=")[::2]
        ):
            problems.append(
                Problem(
                    "secret-in-config",
                    "container.options holds what looks like a secret.",
                    where(path),
                    "Export it and write its name into secrets.pass_through.",
                )
            )
    return problems


def keys(config: LaunchConfig, where: Where) -> list[Problem]:
    """One source of the API key, not two."""
    if config.server.api_key_env and config.server.api_key_file:
        message = "server.api_key_env and server.api_key_file both say where the API key is."
        return [Problem("key-twice", message, where(("server", "api_key_file")), "Leave one of them out.")]
    return []


def layout(config: LaunchConfig, known: Known, settled: Settings, where: Where) -> list[Problem]:
    """A problem where the GPUs listed, or those of a node, are too few for the layout."""
    if known.gpu.arch == "cpu":
        return []
    count = gpu_count(settled)
    if isinstance(config.gpus, tuple):
        if len(set(config.gpus)) != len(config.gpus):
            return [Problem("gpus", "gpus names a GPU twice.", where(("gpus",)))]
        if len(config.gpus) < count:
            return [
                Problem(
                    "layout",
                    f"gpus lists {counted(len(config.gpus), 'GPU')}; the parallel layout needs {count}.",
                    where(("gpus",)),
                    "List more GPUs, or lower parallel.tensor, parallel.data or parallel.pipeline.",
                )
            ]
    if known.gpu.gpus_per_node and count > known.gpu.gpus_per_node:
        return [
            Problem(
                "layout",
                f"The parallel layout needs {count} GPUs; a node has {known.gpu.gpus_per_node} {known.gpu.title}.",
                where(("parallel",)),
                "Lower parallel.tensor, parallel.data or parallel.pipeline.",
            )
        ]
    return []


def address(config: LaunchConfig, where: Where) -> list[Problem]:
    """docker publishes on an address, not on a name: it would refuse one after image and weights were pulled."""
    host = config.server.host
    if config.target.type != "docker" or _is_address(host):
        return []
    fix = "Write 127.0.0.1." if host == "localhost" else "Write the address of the interface, such as 127.0.0.1."
    return [
        Problem(
            "host-not-address",
            f"server.host {host} is a name; docker wants an address.",
            where(("server", "host")),
            fix,
        )
    ]


def _is_address(host: str) -> bool:
    return ":" in host or (host.replace(".", "").isdigit() and host.count(".") == 3)
