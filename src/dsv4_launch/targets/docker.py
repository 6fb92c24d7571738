"""The docker target: one ``docker run`` whose words are the plan's, and the labels that say what runs."""

from __future__ import annotations

from dsv4_launch.plan import hardened
from dsv4_launch.plan.types import LABEL_GPUS, Bind, Plan
from dsv4_launch.targets.base import Target, plan_digest
from dsv4_launch.values import Command, Ref, Rendered, Word, canonical_json, joined

CONTAINER_PORT = 8000  # the official image's server listens here unless told otherwise

LABEL_NAME = "dsv4.name"
LABEL_DIGEST = "dsv4.digest"
LABEL_CONFIG = "dsv4.config"
LABEL_USER = "dsv4.user"


def render(plan: Plan) -> Rendered:
    """``docker run --detach …``: container options, labels, image, then vLLM's arguments in the documented order."""
    options = _options(plan)
    tail: list[tuple[Word, ...]] = [(plan.container.image,), (plan.model.served,)]
    if plan.model.revision:
        tail.append(("--revision", plan.model.revision))
    if plan.container.network == "host":
        tail += [("--host", plan.host), ("--port", str(plan.port))]
    tail += [argument.argv for argument in plan.arguments]
    config = canonical_json(plan.config).replace("~", "\\u007e")  # a literal ~ invites expansion
    labels: list[tuple[Word, ...]] = [
        ("--label", f"{LABEL_NAME}={plan.name}"),
        ("--label", f"{LABEL_DIGEST}={plan_digest(plan, [options, tail])}"),
        ("--label", joined(f"{LABEL_USER}=", Ref("user"))),
        ("--label", f"{LABEL_CONFIG}={config}"),
    ]
    if plan.gpus.count and plan.gpus.visible == "auto":
        labels.append(("--label", joined(f"{LABEL_GPUS}=", Ref("gpus"))))
    words: list[Word] = ["docker", "run"]
    breaks: list[int] = []
    for group in [*options, *labels, *tail]:
        breaks.append(len(words))
        words += group
    secrets = {v.name: v.env_from for v in plan.environment if v.value is None}
    return Rendered(Command(tuple(words), env_from=secrets), breaks=tuple(breaks))


def _options(plan: Plan) -> list[tuple[Word, ...]]:
    container = plan.container
    options: list[tuple[Word, ...]] = [("--detach",), ("--name", plan.name)]
    if container.runtime:
        options.append((f"--runtime={container.runtime}",))
    if plan.gpus.count:
        options.append(("--gpus", _gpus(plan)))
    options.append((f"--ipc={container.ipc}",))
    if container.shm_size:
        options.append((f"--shm-size={container.shm_size}",))
    if container.restart != "no":
        options.append((f"--restart={container.restart}",))
    if not any(word.startswith("--stop-timeout") for word in container.options):
        options.append((f"--stop-timeout={plan.stop_timeout_s}",))
    if container.log_max_size:
        options.append(("--log-driver=json-file",))
        options += [
            ("--log-opt", f"max-size={container.log_max_size}"),
            ("--log-opt", f"max-file={container.log_files}"),
        ]
    if container.hardened:
        options += [(word,) for word in hardened.OPTIONS]
    options += [("--ulimit", f"{name}={limit}") for name, limit in container.ulimits.items()]
    if container.network == "host":
        options.append(("--network=host",))
    else:
        options.append(("-p", f"{_published(plan.host)}:{plan.port}:{CONTAINER_PORT}"))
    options += [("-v", _bind(bind)) for bind in container.binds]
    for variable in plan.environment:
        named = variable.name if variable.value is None else joined(f"{variable.name}=", variable.value)
        options.append(("--env", named))
    for word in container.options:
        if word.startswith("-"):
            options.append((word,))
        else:  # an option's value stays on its line
            options[-1] = (*options[-1], word)
    return options


def _gpus(plan: Plan) -> Word:
    if plan.gpus.visible == "all":
        return "all"
    # docker reads this value as CSV: the quotes belong to it.
    devices = Ref("gpus") if plan.gpus.visible == "auto" else ",".join(map(str, plan.gpus.visible))
    return joined('"device=', devices, '"')


def _published(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _bind(bind: Bind) -> Word:
    return joined(bind.source, f":{bind.target}{':ro' if bind.read_only else ''}")


TARGET = Target("docker", render)
