"""A systemd unit that launches a deployment, watches it, and brings it back after a reboot: text, pure.

The unit runs an attached `serve`: one process that launches, watches and follows the log. What dies is started again by
that watch; systemd starts only the watch again. https://www.freedesktop.org/software/systemd/man/systemd.service.html
"""

from __future__ import annotations

import shlex
from itertools import pairwise

from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.types import Plan

# What an attached serve ends with that another start would not mend: command line, config, layout, and a crash loop.
FINAL_CODES = (2, 3, 4, 7)
FABRIC_S = 900
# Between the request to stop and what systemd does about it: the watch has to see the end too.
STOP_MARGIN_S = 60
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Host:
    """What a unit needs of the machine that it is for: absolute paths, and the user that it runs as.

    ``search_path`` holds further folders for PATH, such as that of a native vllm; ``skips`` the checks that its launch
    lets not decide, as ``CODE=REASON``.
    """

    program: str
    config: str
    user: str
    environment_file: str
    search_path: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()


def unit_name(plan: Plan) -> str:
    """The name of the unit."""
    return f"dsv4-{plan.name}.service"


def unit(plan: Plan, host: Host) -> str:
    """The unit file. Secrets come from ``host.environment_file``, by the names that the config gives them."""
    name, docker = unit_name(plan), plan.target == "docker"
    gpus = ["nvidia-fabricmanager.service", "nvidia-persistenced.service"] if plan.gpus.count else []
    wanted = ["network-online.target", *gpus]
    skips = [word for skip in host.skips for word in ("--skip", skip)]
    serve = _words(host.program, "serve", host.config, "--target", plan.target, *skips)
    stop = _words(host.program, "stop", plan.name)
    secrets = _secrets(plan)
    lines = [
        f"# The deployment {plan.name} in {plan.target}, written by `dsv4 unit`.",
        f"# Install:  put it at /etc/systemd/system/{name}, then",
        f"#           systemctl daemon-reload && systemctl enable --now {name}",
    ]
    if secrets:
        lines.append(
            f"# Secrets:  {host.environment_file} (mode 0600) sets {', '.join(secrets)}; a line NAME=value each."
        )
    lines += [
        "[Unit]",
        f"Description=vLLM deployment {plan.name} ({plan.target})",
        "# A unit that is not installed here is skipped by Wants= and After=.",
        f"Wants={' '.join(wanted)}",
        *(["Requires=docker.service"] if docker else []),
        f"After={' '.join([*wanted, *(['docker.service'] if docker else [])])}",
        "",
        "[Service]",
        "Type=exec",
        f"User={_escaped(host.user)}",
        f"EnvironmentFile={'' if secrets else '-'}{_escaped(host.environment_file)}",
    ]
    if host.search_path:
        folders = ":".join((*host.search_path, DEFAULT_PATH))
        lines.append(f"Environment={_quoted(f'PATH={folders}')}")
    if plan.gpus.count:
        lines += [
            "# CUDA fails with error 802 until the NVLink fabric is set up, minutes after the boot of a large node.",
            "ExecStartPre="
            + _words(host.program, "doctor", host.config, "--wait", "fabric", "--timeout", str(FABRIC_S)),
            f"TimeoutStartSec={FABRIC_S + STOP_MARGIN_S}",
        ]
    lines += [
        "# Launches it, or takes over what runs already; then watches it by the rules under `watch:` in the config.",
        "# `dsv4 apply` does not end that. Apply the file that is named here, for this one counts after a reboot.",
        f"ExecStart={serve} --attach",
        "# systemd runs this also when the watch has ended by itself, without a main process: nothing is stopped then.",
        f'ExecStop=/bin/sh -c \'test -z "$$MAINPID" || exec "$$@"\' stop {stop}',
        f"TimeoutStopSec={plan.stop_timeout_s + STOP_MARGIN_S}",
        "# The watch alone is started again by systemd, and not after a crash loop (7) or what a person must mend.",
        "Restart=on-failure",
        "RestartSec=30",
        f"RestartPreventExitStatus={' '.join(map(str, FINAL_CODES))}",
        "# dsv4 ends the whole tree of the server itself. If the watch is killed, the server goes on for the next one.",
        "KillMode=process",
        "OOMPolicy=continue",
    ]
    if not docker:
        lines += ["# vLLM opens many files, and pins memory.", "LimitNOFILE=65535", "LimitMEMLOCK=infinity"]
    lines += ["", "[Install]", "WantedBy=multi-user.target", ""]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Launches:
    """What a unit launches: the config that it names, the target ("": the config's own), values set over it."""

    config: str
    target: str
    overrides: tuple[str, ...]


def launches(text: str) -> Launches | None:
    """What a unit of `unit` launches, drop-ins behind it; None for one whose command begins in another way."""
    start = ""
    for line in text.replace("\\\n", " ").split("\n"):
        key, _, value = line.partition("=")
        if key.strip() == "ExecStart":
            start = value  # an empty one takes back those before it
    try:
        words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(start)]
    except ValueError:
        return None
    if words[1:2] != ["serve"] or words[2:3] == [] or words[2].startswith("-"):
        return None
    options = list(pairwise(words[3:]))
    target = next((value for name, value in options if name == "--target"), "")
    return Launches(words[2], target, tuple(value for name, value in options if name == "--set"))


def warning(plan: Plan) -> str:
    """Why this deployment would not wait for the fabric in spite of its unit ("" when it does)."""
    if plan.target != "docker" or plan.container.restart == "no" or not plan.gpus.count:
        return ""
    return (
        f"target.restart {plan.container.restart} lets the docker engine start the container at boot by itself, before "
        "the fabric is ready. Leave it at `no`: the unit brings it back."
    )


def _secrets(plan: Plan) -> list[str]:
    """The variables that the server gets by name, and that of a webhook."""
    hook = ((plan.config.get("watch") or {}).get("on_failure") or {}).get("webhook_env")
    names = [variable.env_from for variable in plan.environment if variable.value is None]
    names += [name for name in (plan.api_key_env, hook) if name]
    # A key from a file needs no variable of the unit: dsv4 reads the file.
    return [name for name in dict.fromkeys(names) if not (plan.api_key_file and name == plan.api_key_env)]


def _words(*words: str) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """One word of a command line, as systemd reads it: quotes, and its own % and $."""
    text = _escaped(word).replace("$", "$$")
    if text and not any(c.isspace() or c in "\"'\\;" for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
