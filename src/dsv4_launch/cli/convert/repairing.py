"""The command that `dsv4 lint` prints as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.cli.quick import build_config_schema
from dsv4_launch.config.load import Loaded, Origins, from_data, load
from dsv4_launch.convert.command_text import command_text
from dsv4_launch.convert.importer import Imported, import_launch
from dsv4_launch.convert.lint import Verdict
from dsv4_launch.convert.secrets import secret_values, without_secrets
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.argv import Refusal
from dsv4_launch.plan.resolve import examine_config
from dsv4_launch.targets import render, shell
from dsv4_launch.values import frozen, nearest

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Plan

_NO_OPTION = frozenset({"unknown-option", "unrecognized"})


def repaired(verdict: Verdict, text: str) -> str:
    """The command as it should be: our rendering of what was imported; where that cannot be, the same words mended.

    An option that the release does not have becomes the one that was meant, or is left out, which a comment says.
    """
    launch = verdict.launch
    imported, said = _known_options(verdict, text)
    engine = imported.engine
    seen_through = not engine.open_ended and not any(word.opaque for word in engine.words)
    command = None
    if launch.kind in ("docker", "native", "argv") and seen_through and not _lost(imported):
        plan = _plan(_safer(imported.data))
        command = shell.multiline(render(plan)) if plan is not None else None
    secrets = secret_values(launch, engine)
    if command is None:
        command = without_secrets(command_text(launch, engine, text), secrets)
    return "\n".join([*(without_secrets(line, secrets) for line in said), command])


def _known_options(verdict: Verdict, text: str) -> tuple[Imported, list[str]]:
    """The launch without options that its release does not have, and comments that say what became of them."""
    imported = verdict.imported
    engine = imported.engine
    words = list(engine.words)
    gone: set[int] = set()
    said: list[str] = []
    for refusal in engine.refusals:
        if refusal.code not in _NO_OPTION or not refusal.at:
            continue
        meant = _meant(refusal, engine.release.table)
        first = words[refusal.at[0]]
        if meant:
            changed = first.text.replace(refusal.option, meant, 1)
            words[refusal.at[0]] = replace(first, text=changed, exact=-1)
            said.append(f"# {meant} instead of {_plain(refusal.option)}")
        else:
            gone.update(refusal.at)
            said.append(f"# left out: {_plain(' '.join(words[n].text for n in refusal.at))}")
    if not said:
        return imported, []
    launch = replace(verdict.launch, engine=tuple(word for n, word in enumerate(words) if n not in gone))
    gpu = str(imported.data["gpu"]) if imported.gpu_told else None
    return import_launch(launch, text, engine.release.version, gpu), said


def _meant(refusal: Refusal, release: str) -> str | None:
    """The option that was meant: the hint of the refusal says it where it was looked for."""
    if refusal.code != "unknown-option" or not refusal.fix:
        return None
    return nearest(refusal.option, flag_table(release).by_flag)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:100]


def _plan(data: Mapping[str, Any]) -> Plan | None:
    """The plan of a config; with the remedies of its errors when it is not valid as it is. None when that fails too."""
    build_config_schema()
    try:
        origins = Origins("text", {})
        plan, problems = examine_config(Loaded(from_data(frozen(data), origins), origins))
        if plan is None or problems:
            from dsv4_launch.convert.config_text import config_text
            from dsv4_launch.plan.repair import repair

            mended, _ = repair(config_text(data, (), "text"), "text", errors_only=True)
            plan, problems = examine_config(load(mended, "text"))
    except Dsv4Error:
        return None
    return None if problems else plan


def _lost(imported: Imported) -> bool:
    return any(note.kind == "lost" and "secret" not in note.text for note in imported.notes)


def _safer(data: Mapping[str, Any]) -> dict[str, Any]:
    """On this machine only unless a key guards it, compile caches kept."""
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    server = result.setdefault("server", {})
    if not server.get("api_key_env"):
        server["host"] = "127.0.0.1"
    if "container" in result:
        result["container"]["caches"] = True
    passed = [
        name for name in result.get("secrets", {}).get("pass_through", ()) if not name.startswith(("HF_", "HUGGING"))
    ]
    if "secrets" in result:
        result["secrets"] = {"pass_through": passed} if passed else {}
    return {key: value for key, value in result.items() if value not in ({}, [])}
