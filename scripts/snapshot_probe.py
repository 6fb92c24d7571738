"""Runs inside an environment that has vLLM: prints what one release's `vllm serve` parser accepts, as JSON.

Standard library and vLLM only. `snapshot_flags.py` starts it with a release's own Python source first on the path; it
needs neither GPU nor weights. The parser is taken where the command line is parsed, because the modules that build it
have moved twice between 0.20 and 0.33 while that place has not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from snapshot_fields import landing, members, nested, plain


class Captured(Exception):
    """Carries the command's top parser out of `vllm`'s main function."""


def capture() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The top parser and its `serve` parser, exactly as `vllm serve` builds them."""
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform

    class Parsing(CpuPlatform):
        device_type = "cuda"  # a choice of some options (--mm-processor-device) is the platform's own device

    # Before anything else of vLLM: without a device the parser cannot even be built.
    vllm.platforms._current_platform = Parsing()
    from vllm.entrypoints.cli.main import main

    real = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        raise Captured(self)

    argparse.ArgumentParser.parse_args = stop  # type: ignore[method-assign,assignment]
    sys.argv = ["vllm", "serve", "M"]
    try:
        main()
    except Captured as caught:
        top = caught.args[0]
    finally:
        argparse.ArgumentParser.parse_args = real  # type: ignore[method-assign]
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return top, commands.choices["serve"]


# --- options -------------------------------------------------------------------------------------------------------


def closure_of(function: Any) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    return {n: c.cell_contents for n, c in zip(code.co_freevars, cells, strict=True)} if code else {}


def read_type(function: Any) -> tuple[str, bool, type | None]:
    """(kind, takes None as a word, dataclass behind the JSON) of an option's `type=` callable."""
    name = getattr(function, "__name__", type(function).__name__)
    inner = closure_of(function).get("return_type")
    if name == "_optional_type":
        kind, _, config = read_type(inner)
        return kind, True, config
    if name == "_parse_type":
        return read_type(inner)
    if function is None or function is str:
        return "str", False, None
    if function in (int, float):
        return function.__name__, False, None
    if name == "parse_dataclass":
        return "json", False, function.__defaults__[0]
    known = {
        "loads": "json",
        "union_dict_and_str": "json_or_str",
        "human_readable_int": "human_int",
        "human_readable_int_or_auto": "human_int_or_auto",
    }
    return known.get(name, f"custom:{name}"), False, None


ACTIONS = {
    argparse._StoreTrueAction: "store_true",
    argparse._StoreFalseAction: "store_false",
    argparse._AppendAction: "append",
    argparse._CountAction: "count",
}


def options(serve: argparse.ArgumentParser) -> list[tuple[argparse.Action, list[str], dict[str, Any]]]:
    from vllm.config import VllmConfig

    groups = {id(a): g.title for g in serve._action_groups for a in g._group_actions}
    deprecated = getattr(serve, "_deprecated", set())
    behind = {f.name: f.type for f in dataclasses.fields(VllmConfig)}
    places = landing_places()
    found = []
    for action in serve._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        # What parses, not what the action lists: 0.33 hides spellings that it still takes.
        spellings = [s for s, a in serve._option_string_actions.items() if a is action]
        kind, optional, config = read_type(action.type)
        if isinstance(action, argparse.BooleanOptionalAction):
            kind = "bool"
        elif type(action) in ACTIONS:
            kind = ACTIONS[type(action)]
        elif type(action) is not argparse._StoreAction:
            kind = f"action:{type(action).__name__}:{kind}"
        if config is None and kind == "json" and action.dest in behind:
            config = next((c for c in members(behind[action.dest]) if dataclasses.is_dataclass(c)), None)
        entry: dict[str, Any] = {"kind": kind, "flags": spellings}
        negative = negatives(action, spellings)
        if negative:
            entry["negative"] = negative
        if optional:
            entry["optional"] = True
        if action.nargs not in (None, 0):
            entry["nargs"] = action.nargs
        if action.const is not None and kind not in ("bool", "store_true", "store_false"):
            entry["const"] = action.const
        if action.choices is not None:
            entry["choices"] = list(action.choices)
            if loose := loose_choices(action):
                entry["kind"], entry["loose"] = "str", loose
        elif isinstance(action.metavar, list):
            entry["known"] = list(action.metavar)  # the Literal's words; the parser takes any other too
        if config is not None:
            entry["config"] = config
        default = plain(action.default)
        if default is not ...:
            entry["default"] = default
        if action.required:
            entry["required"] = True
        if action in deprecated or getattr(action, "deprecated", False) or "Deprecated" in type(action).__name__:
            entry["deprecated"] = True
        if spellings and (place := places.get(next((s for s in spellings if s in places), ""))):
            field = landing(*place, "choices" in entry)
            if field:
                entry["lands_in"] = field
        if groups.get(id(action)):
            entry["group"] = groups[id(action)]
        found.append((action, spellings, entry))
    return found


def negatives(action: argparse.Action, spellings: list[str]) -> list[str]:
    """The spellings that set a boolean to false, found by calling the action."""
    if not isinstance(action, argparse.BooleanOptionalAction):
        return []
    result = []
    for spelling in spellings:
        space = argparse.Namespace()
        action(None, space, None, spelling)  # type: ignore[arg-type]
        if getattr(space, action.dest) is False:
            result.append(spelling)
    return result


def landing_places() -> dict[str, tuple[type, str]]:
    """For each option the config class and field that its value ends in, as `add_cli_args` itself says.

    vLLM writes `group.add_argument("--kv-cache-dtype", **cache_kwargs["cache_dtype"])` after
    `cache_kwargs = get_kwargs(CacheConfig)`; both are read from its source.
    """
    from vllm.engine import arg_utils

    classes: dict[str, Any] = {}
    found: dict[str, tuple[type, str]] = {}
    for node in ast.walk(ast.parse(Path(arg_utils.__file__).read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            call = ast.unparse(node.value.func), ast.unparse(node.value.args[0])
            if call[0] == "get_kwargs" and isinstance(node.targets[0], ast.Name):
                classes[node.targets[0].id] = getattr(arg_utils, call[1], None)
    for node in ast.walk(ast.parse(Path(arg_utils.__file__).read_text())):
        if not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument" and node.args):
            continue
        for part in (p for k in node.keywords if k.arg is None for p in ast.walk(k.value)):
            if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id in classes:
                cls, key = classes[part.value.id], ast.literal_eval(part.slice)
                if cls is not None and isinstance(node.args[0], ast.Constant):
                    found[node.args[0].value] = (cls, key)
    return found


def loose_choices(action: argparse.Action) -> list[str]:
    """Whether an option's own `type=` brings words in another case or with dashes to one of its choices."""
    words = [w for w in action.choices or () if isinstance(w, str)]
    if not callable(action.type) or not words:
        return []
    cased = all(action.type(w.swapcase()) in words for w in words)
    dashed = any("_" in w for w in words) and all(action.type(w.replace("_", "-")) in words for w in words)
    return [name for name, so in (("case", cased), ("dash", dashed)) if so]


# --- environment ---------------------------------------------------------------------------------------------------


def environment() -> dict[str, dict[str, Any]]:
    """Each variable that the release's vllm/envs.py reads, its declared type, and its default if a constant."""
    import vllm.envs as envs

    tree = ast.parse(Path(envs.__file__).read_text())
    declared: dict[str, dict[str, Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.col_offset:
            entry: dict[str, Any] = {"type": ast.unparse(node.annotation)}
            if node.value is not None:
                with contextlib.suppress(ValueError):
                    default = plain(ast.literal_eval(node.value))
                    if default is not ...:
                        entry["default"] = default
            declared[node.target.id] = entry
    return {name: declared.get(name, {}) for name in sorted(envs.environment_variables)}


# --- verify --------------------------------------------------------------------------------------------------------

SAMPLES = {
    "int": "1",
    "float": "0.5",
    "human_int": "64k",
    "human_int_or_auto": "auto",
    "json": "{}",
    "str": "x",
}


def refused(top: argparse.ArgumentParser, argv: list[str]) -> str | None:
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
            top.parse_args(["serve", *argv])
    except SystemExit as stopped:
        return heard.getvalue().strip()[-300:] if stopped.code else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"[-300:]
    return None


def verify(top: argparse.ArgumentParser, found: list[tuple[argparse.Action, list[str], dict[str, Any]]]) -> list[str]:
    """Each spelling of each option, alone, given to the real parser; what it refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("port: 8000\n")
        config.flush()
        # vLLM's own code reads these three before argparse does: a file, name=path, and the model itself.
        own = {"config": config.name, "lora_modules": "name=path", "model": "M"}
        problems = []
        for action, spellings, entry in found:
            words = sample(entry, own.get(action.dest))
            for spelling in spellings:
                said = refused(top, [*(() if action.dest == "model" else "M"), spelling, *words])
                if said:
                    problems.append(f"{spelling} {' '.join(words)}: {said}")
    return problems


def sample(entry: dict[str, Any], own: str | None) -> list[str]:
    """Words that an option of this kind should take."""
    if entry["kind"] in ("bool", "store_true", "store_false", "count"):
        return []
    word = str(entry["choices"][0]) if entry.get("choices") else own or SAMPLES.get(entry["kind"], "x")
    count = entry.get("nargs")
    return [word] * (count if isinstance(count, int) else 1)


def main() -> None:
    out, only_verify = Path(sys.argv[1]), "--verify" in sys.argv
    top, serve = capture()
    found = options(serve)
    if only_verify:
        out.write_text(json.dumps({"refused": verify(top, found), "tried": sum(len(s) for _, s, _ in found)}))
        return
    roots = [e["config"] for _, _, e in found if "config" in e]
    for _, _, entry in found:
        if "config" in entry:
            entry["config"] = entry["config"].__name__
    result = {
        "options": [{"dest": a.dest, **e} for a, _, e in found],
        "nested": nested(roots),
        "env": environment(),
    }
    out.write_text(json.dumps(result, sort_keys=True))
    os._exit(0)  # threads that some releases start at import must not keep us


if __name__ == "__main__":
    main()
