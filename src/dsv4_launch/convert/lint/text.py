"""What is wrong with a launch as it is written: its text, its words, its variables, its release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.serve_checks import model_checks, registered
from dsv4_launch.catalog.version import release_tuple
from dsv4_launch.convert.imports.importer import Imported
from dsv4_launch.convert.lint.finding import Finding, found_fault, place_of
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.secrets import secret_words
from dsv4_launch.convert.read.words import ELIDED, Fault, Span
from dsv4_launch.plan.variables import readers
from dsv4_launch.values import nearest

# Words of one option: a blank or a line break and its indentation lie between.
_NEAR = 12
# Looking up names takes its time, and a text may hold thousands.
_MOST_LOOKED_UP = 10
# Found once a text, however often: the first place is shown, with how many more there are.
_ONCE = frozenset({"missing-continuation", "space-after-backslash", "windows-line-ends", "typographic", "placeholder"})


def text_findings(launch: Launch, imported: Imported) -> Iterator[Finding]:
    """What is wrong with the text, its secrets, its model and its release."""
    faults = [*launch.faults, *imported.engine.faults]
    counts: dict[str, list[Fault]] = {}
    for fault in faults:
        counts.setdefault(fault.code, []).append(fault)
    for code, same in counts.items():
        if code in _ONCE:
            yield found_fault(same[0], len(same) - 1)
        else:
            yield from (found_fault(fault) for fault in same)
    for name, span in secret_words(launch, imported.engine):
        yield found_fault(Fault("secret-on-command-line", *span, name))
    yield from (found_fault(fault) for fault in _tildes(launch))
    for name in imported.engine.parsed.repeated:
        yield found_fault(
            Fault("repeated", *place_of(f"engine.{name.lstrip('-').replace('-', '_')}", launch, imported), name)
        )
    yield from (found_fault(fault) for fault in _not_judged(launch, imported))
    if not launch.own_program:
        yield from (found_fault(fault) for fault in (*_release(launch, imported), *_ports(launch, imported)))
    given = imported.engine.parsed.given
    if launch.own_program:
        yield found_fault(Fault("own-program", *launch.loose[0].span, launch.loose[0].text))
    elif launch.contained and not launch.engine and launch.loose and all(o.name for o in launch.options):
        yield found_fault(Fault("no-arguments", *launch.loose[0].span))
    elif imported.variant is None and imported.engine.parsed.model:
        model = imported.engine.parsed.model
        yield found_fault(Fault("other-model", *place_of("model", launch, imported), model))
    elif not imported.engine.parsed.model and "model" not in given and not imported.engine.open_ended:
        yield found_fault(Fault("no-model", *launch.span))


def _not_judged(launch: Launch, imported: Imported) -> Iterator[Fault]:
    """One fault for all words that may hold options of docker or vLLM which nobody can read here."""
    options = [word for option in launch.options if option.opaque and not option.name for word in option.words]
    unread = [word for word in imported.engine.unread() if word.start < word.end]  # a table's other keys have no place
    words = sorted([*options, *unread], key=lambda word: word.start)
    if left_out := [word for word in words if word.text in ELIDED]:
        yield Fault("left-out", *left_out[0].span, left_out[0].text)
    if words := [word for word in words if word.text not in ELIDED]:
        names = dict.fromkeys(word.text for word in words)
        yield Fault("not-judged", *words[0].span, ", ".join([*names][:6]) + (" and others" if len(names) > 6 else ""))


def _release(launch: Launch, imported: Imported) -> Iterator[Fault]:
    release = imported.engine.release
    span = launch.image.span if launch.image is not None else (launch.span[0], launch.span[0])
    if release.told == "unknown":
        said = (
            release.said or f"the text names no vLLM release; it is judged as {release.table}, the newest that is known"
        )
        yield Fault("version-unknown", *span, said)
    elif release.told in ("custom", "latest"):
        yield Fault("version-unknown", *span, f"the image's tag names no release; it is judged as {release.table}")
    elif release.version != release.table:
        try:
            old = release_tuple(release.version) < release_tuple("0.20.0")
        except ValueError:
            old = False
        if old and imported.variant is not None:
            said = f"vLLM {release.version} cannot serve this model: {imported.variant.min_vllm} is the first that does"
            yield Fault("version-too-old", *span, said)
        else:
            said = (
                f"{release.version} is not a release that is known here; it is judged as {release.table}, the nearest"
            )
            yield Fault("version-unknown", *span, said)
    variant = imported.variant
    if variant is not None and release_tuple(release.table) < release_tuple(variant.min_vllm):
        said = f"vLLM {release.version} cannot serve {variant.title}: {variant.min_vllm} is the first that does"
        yield Fault("version-too-old", *span, said)


def _ports(launch: Launch, imported: Imported) -> Iterator[Fault]:
    """Published ports of which none is the server's."""
    port = imported.engine.parsed.given.get("port")
    listens = port.values[0] if port is not None and port.values else "8000"
    published = [option for option in launch.all("publish") if not option.opaque]
    if not published or "$" in listens or launch.on_host_network:
        return
    inside = [(option.value or "").rsplit(":", 1)[-1].removesuffix("/tcp") for option in published]
    plain = len(published) == len(launch.all("publish")) and all(text.isdigit() for text in inside)
    if plain and listens not in inside:
        said = f"port {inside[0]} of the container is published, and the server listens on {listens}: nothing answers"
        yield Fault("port-mismatch", *published[0].span, said)


def _tildes(launch: Launch) -> Iterator[Fault]:
    if launch.kind != "docker":
        return
    for option in launch.options:
        word = option.words[-1]
        quoted = word.text.startswith("~/") and word.exact > word.start
        joined = len(option.words) == 1 and "=~/" in word.text and option.name in ("volume", "mount")
        if (quoted and option.name in ("volume", "env-file")) or joined or "source=~/" in word.text:
            yield Fault("tilde-not-expanded", word.start, word.end, word.text)
    for word in launch.engine:
        if word.text.startswith("--") and "=~/" in word.text:
            yield Fault("tilde-not-expanded", word.start, word.end, word.text)


def refused_findings(imported: Imported) -> Iterator[Finding]:
    """What the release would refuse, and parsers that it does not have."""
    words = imported.engine.words
    other_model = imported.variant is None
    for refusal in imported.engine.refusals:
        if other_model and refusal.code in model_checks():
            continue
        span = _first_place([words[n].span for n in refusal.at])
        code = refusal.code
        if code == "unknown-option" and not imported.engine.release.custom:
            yield Finding(code, "error", refusal.message, refusal.fix or _elsewhere(refusal.option), span)
            continue
        if code == "unknown-option" and not _elsewhere(refusal.option):
            code = "unrecognized"  # no release has it, so that no build is likely to
        yield Finding(code, "error", refusal.message, refusal.fix, span)
    release = imported.engine.release.table
    plugged = (
        "tool_parser_plugin" in imported.engine.parsed.given
        or "reasoning_parser_plugin" in imported.engine.parsed.given
    )
    looked_up = ["reasoning_parser"]
    if "enable_auto_tool_choice" in imported.engine.parsed.given:
        looked_up.append("tool_call_parser")
    for kind in looked_up:
        given = imported.engine.parsed.given.get(kind)
        if given is None or not given.values or plugged or any(words[n].opaque for n in given.at):
            continue
        name = given.values[0]
        if name and name not in registered(kind, release):
            meant = nearest(name, registered(kind, release))
            hint = f" (did you mean {meant}?)" if meant else ""
            said = f"vLLM {release} registers no {kind.replace('_', ' ')} {name}{hint}"
            yield found_fault(Fault("unknown-parser", words[given.at[0]].start, words[given.at[-1]].end, said))


def _first_place(places: Sequence[Span]) -> Span:
    """The option that a refusal names first, when it is about several that stand apart."""
    start, end = places[0] if places else (0, 0)
    for following in places[1:]:
        if not 0 <= following[0] - end <= _NEAR:
            break
        end = following[1]
    return start, end


def _elsewhere(option: str) -> str:
    """Which releases have an option that this one has not."""
    having = [version for version in versions() if option in flag_table(version).by_flag]
    return f"Releases {having[0]} to {having[-1]} have it." if having else ""


def environment_findings(launch: Launch, imported: Imported) -> Iterator[Finding]:
    """``VLLM_…`` variables that the release does not read."""
    known = flag_table(imported.engine.release.table).env
    unknown = [v for v in launch.variables if v.name.startswith("VLLM_") and v.name not in known]
    for n, variable in enumerate(unknown):
        said = f"vLLM {imported.engine.release.table} reads no variable {variable.name}"
        if n < _MOST_LOOKED_UP and len(variable.name) < 100:
            span = readers(variable.name)
            meant = None if span else nearest(variable.name, known, "VLLM_")
            said += f"; {span}" if span else f"; did you mean {meant}?" if meant else ""
        yield found_fault(Fault("unknown-variable", *variable.span, said))
