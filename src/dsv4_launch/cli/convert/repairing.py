"""The command that `dsv4 lint` prints as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dsv4_launch.catalog.advisories import config_advisories
from dsv4_launch.cli.quick import build_config_schema
from dsv4_launch.config.load import Loaded, Origins, from_data, load
from dsv4_launch.convert.imports.importer import Imported
from dsv4_launch.convert.lint.command_text import command_text
from dsv4_launch.convert.lint.judge import Verdict, lint
from dsv4_launch.convert.lint.mend import mend
from dsv4_launch.convert.lint.remedy import remedied
from dsv4_launch.convert.read.engine import read_engine
from dsv4_launch.convert.read.secrets import secret_values, without_secrets
from dsv4_launch.errors import Dsv4Error, InputError
from dsv4_launch.plan.resolve import examine_config
from dsv4_launch.targets import render, shell
from dsv4_launch.values import frozen

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Plan


def repaired(verdict: Verdict, text: str) -> str:
    """The command as it should be: our rendering of what was imported; where that cannot be, the same words mended.

    What was left out of the words or became others, and what is still wrong, stands in comments above it.
    """
    mended = mend(verdict, text)
    launch, engine = mended.launch, mended.imported.engine
    seen_through = not engine.open_ended and not any(word.opaque for word in engine.words)
    command = None
    if launch.kind in ("docker", "native", "argv") and seen_through and not _lost(mended.imported):
        plan = _plan(_safer(mended.imported.data, verdict))
        command = shell.multiline(render(plan)) if plan is not None else None
    gpu = str(mended.imported.data["gpu"]) if mended.imported.gpu_told else None
    if command is None:
        launch = remedied(launch, text, engine.release.version, gpu)
        command = command_text(launch, read_engine(launch, text, engine.release.version), text)
    doubted = {finding.code for finding in verdict.findings if finding.severity != "error"}
    left = [said for code, said in _left(command, engine.release.version, gpu).items() if code not in doubted]
    lines = [
        *(f"# {said}" for said in mended.said),
        *(f"# still wrong, mend it by hand: {said}" for said in left),
        command,
    ]
    return without_secrets("\n".join(lines), secret_values(launch, engine) | secret_values(verdict.launch, engine))


def _left(command: str, vllm: str, gpu: str | None) -> dict[str, str]:
    """What a repaired command would still be refused for, by code."""
    try:
        (verdict,) = lint(command, vllm, gpu)
    except (InputError, ValueError):  # no launch that could be read again
        return {}
    found = {finding.code: finding.fix or finding.why for finding in verdict.errors}
    return {code: f"{code}. {' '.join(said.split())}" for code, said in found.items()}


def _plan(data: Mapping[str, Any]) -> Plan | None:
    """The plan of a config; with the remedies of its errors when it is not valid as it is. None when that fails too."""
    build_config_schema()
    try:
        origins = Origins("text", {})
        plan, problems = examine_config(Loaded(from_data(frozen(data), origins), origins))
        if plan is None or problems:
            from dsv4_launch.convert.imports.config_text import config_text
            from dsv4_launch.plan.repair import repair

            mended, _ = repair(config_text(data, (), "text"), "text", errors_only=True)
            plan, problems = examine_config(load(mended, "text"))
    except Dsv4Error:
        return None
    return None if problems else plan


def _lost(imported: Imported) -> bool:
    return any(note.kind == "lost" and "secret" not in note.text for note in imported.notes)


def _safer(data: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    """On this machine only unless a key guards it, compile caches kept, and a container as the advisories want it."""
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    server = result.setdefault("server", {})
    if not server.get("api_key_env"):
        server["host"] = "127.0.0.1"
    if "container" in result:
        result["container"] |= {"caches": True, **_container_remedies(verdict)}
    passed = [
        name for name in result.get("secrets", {}).get("pass_through", ()) if not name.startswith(("HF_", "HUGGING"))
    ]
    if "secrets" in result:
        result["secrets"] = {"pass_through": passed} if passed else {}
    return {key: value for key, value in result.items() if value not in ({}, [])}


def _container_remedies(verdict: Verdict) -> dict[str, Any]:
    """What the advisories found would set of the container; how the server answers, it does not change."""
    found = {finding.code for finding in verdict.findings if finding.advisory}
    return {
        path.removeprefix("container."): value
        for advisory in config_advisories()
        if advisory.id in found and advisory.patch is not None
        for path, value in advisory.patch.set.items()
        if path.startswith("container.")
    }
