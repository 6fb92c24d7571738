"""A pasted launch without what docker or vLLM refuses, ignores or does not read, where one thing alone can be meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.convert.imports.importer import Imported, import_launch
from dsv4_launch.convert.lint.judge import Verdict
from dsv4_launch.convert.read.launch import Launch, Variable
from dsv4_launch.convert.read.words import Word
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.argv.parsed import Refusal
from dsv4_launch.values import nearest

# Findings that leaving something out cures: engine options, variables, and container options by their name.
_NO_OPTION = frozenset({"unknown-option", "unrecognized"})
_NO_VARIABLE = frozenset({"unknown-variable", "compile-cache-off"})
_NO_CONTAINER_OPTION = {"privileged": "privileged", "publish-ignored": "publish"}
_PUBLIC = "D58"
_LOOPBACK = "127.0.0.1"
_ALIKE = 0.85


@dataclass(frozen=True, slots=True)
class Mended:
    """The launch, the config that it is read as, and what was changed or left out, a sentence each."""

    launch: Launch
    imported: Imported
    said: tuple[str, ...]


def mend(verdict: Verdict, text: str) -> Mended:
    """The launch of a verdict, mended. Never raises for any text."""
    launch, imported = verdict.launch, verdict.imported
    codes = {finding.code for finding in verdict.findings}
    said: list[str] = []
    words = _known_options(imported, said)
    if _PUBLIC in codes and launch.on_host_network:
        words = _on_loopback(words, imported)
    variables = tuple(_read_variables(verdict, said))
    ignored = {name for code, name in _NO_CONTAINER_OPTION.items() if code in codes}
    options = tuple(option for option in launch.options if option.name not in ignored)
    if "api_key" in imported.engine.parsed.given:
        said.append("the key is read from VLLM_API_KEY: export it first")
    changed = replace(launch, engine=imported.engine.written(words), variables=variables, options=options)
    gpu = str(imported.data["gpu"]) if imported.gpu_told else None
    return Mended(changed, import_launch(changed, text, imported.engine.release.version, gpu), tuple(said))


def _known_options(imported: Imported, said: list[str]) -> list[Word | None]:
    """vLLM's words; an option that the release has not becomes the one that was meant, or is left out."""
    engine = imported.engine
    words: list[Word | None] = list(engine.words)
    for refusal in engine.refusals:
        if refusal.code not in _NO_OPTION or not refusal.at:
            continue
        meant = _meant(refusal, engine.release.table)
        first = engine.words[refusal.at[0]]
        if meant:
            words[refusal.at[0]] = replace(first, text=first.text.replace(refusal.option, meant, 1), exact=-1)
            said.append(f"{meant} instead of {_plain(refusal.option)}")
        else:
            said.append(f"left out: {_plain(' '.join(engine.words[n].text for n in refusal.at))}")
            for n in refusal.at:
                words[n] = None
    return words


def _meant(refusal: Refusal, release: str) -> str | None:
    """The option that was meant: the hint of the refusal says it where it was looked for."""
    if refusal.code != "unknown-option" or not refusal.fix:
        return None
    meant = nearest(refusal.option, flag_table(release).by_flag)
    # A hint may be wrong, a change may not: another option takes other values.
    alike = SequenceMatcher(None, refusal.option, meant or "").ratio()
    return meant if alike >= _ALIKE else None


def _on_loopback(words: list[Word | None], imported: Imported) -> list[Word | None]:
    """The words with a host that this machine alone reaches; a host that only the shell knows stays."""
    given = imported.engine.parsed.given.get("host")
    if given is None or not given.at:
        return words if imported.engine.open_ended else [*words, Word("--host", 0, 0), Word(_LOOPBACK, 0, 0)]
    last = words[given.at[-1]]
    if last is not None and not last.opaque:
        text = f"{last.text.partition('=')[0]}={_LOOPBACK}" if len(given.at) == 1 else _LOOPBACK
        words[given.at[-1]] = replace(last, text=text, exact=-1)
    return words


def _read_variables(verdict: Verdict, said: list[str]) -> Iterator[Variable]:
    """The variables that the release reads, and that do no harm."""
    spans = {finding.span for finding in verdict.findings if finding.code in _NO_VARIABLE}
    for variable in verdict.launch.variables:
        if variable.span in spans:
            said.append("left out: " + _plain(f"{variable.name}={variable.value or ''}"))
        else:
            yield variable


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:100]
