#!/usr/bin/env python3
"""Ask dsv4 and the real vLLM of a release about the same command lines, and print where they differ.

    scripts/agreement.py --vllm 0.28.0 --mutations 1000 --seed 7      # made up from that seed
    scripts/agreement.py --vllm 0.28.0 --builtin                      # every built-in config
    scripts/agreement.py --vllm 0.28.0 --corpus commands.jsonl        # one {"id", "argv" or "raw"} a line
    scripts/agreement.py --vllm 0.28.0 --verdicts FILE --recheck      # vLLM's recorded verdicts, dsv4 asked again
    scripts/agreement.py --every-release --out FILE                   # the built-in configs on every release, one file
    scripts/agreement.py --fetch 0.20.0                               # only bring the release's source here

The real vLLM is the Python source of the release (`--source`, as scripts/snapshot_flags.py leaves it) in one CPU
environment (`--python`), on simulated GPUs: no GPU, no network, no weights. Without them the places are used in which
that script puts both, else the environment of rehearsals, whose own release needs no source.
`--out` writes the verdicts of vLLM, which `tests/deep` judges again without it.
Exit codes: 0 done, 1 no vLLM to ask, 10 with --check when it falsely accepts anything or falsely rejects 1 % or more.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from dsv4_launch.catalog.flags import flag_table, versions  # noqa: E402
from dsv4_launch.plan.argv.parser import parse  # noqa: E402
from mutations import MODEL, mutations  # noqa: E402
from snapshot_flags import install, python_source  # noqa: E402

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsv4/snapshots"
# Our codes for what vLLM's own parser stops at; every other refusal comes a little later.
AT_THE_PARSER = {"unknown-option", "ambiguous", "unrecognized", "value-missing", "value-not-taken", "value-refused",
                 "model-not-first", "config-file", "parser-check"}  # fmt: skip
# Our codes for names that vLLM looks up only once it loads.
AT_LOAD = ("name-unknown",)
JUDGE = HERE.parent / "src/dsv4_launch/deep/judge.py"
B200 = {"name": "NVIDIA B200", "capability": [10, 0], "memory_mib": 183359, "count": 8}
WARM = [
    [MODEL],
    [MODEL, "--speculative-config", '{"method":"mtp","num_speculative_tokens":2}', "-dp", "2", "-tp", "2", "-ep"],
    [MODEL, "--kv-transfer-config", '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'],
]


def main() -> int:
    options = _options()
    if options.fetch:
        CACHE.mkdir(parents=True, exist_ok=True)
        print(python_source(CACHE, options.fetch))
        return 0
    if options.every_release:
        return every_release(options)
    if options.recheck:
        head, rows = read(options.verdicts)
        version = head["vllm"]
    else:
        version = options.vllm
        lines = _lines(options, version)
        rows = ask(lines, version, options)
        if options.out:
            write(options.out, rows, version, options)
    return report(version, rows, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vllm", default="0.20.0", help="release (default %(default)s)")
    parser.add_argument("--source", type=Path, help="folder with that release's Python source")
    parser.add_argument("--python", type=Path, help="environment to run it in")
    parser.add_argument("--builtin", action="store_true")
    parser.add_argument("--every-release", action="store_true", help="--builtin on every release that is here")
    parser.add_argument("--fetch", metavar="VERSION", help="bring the release's Python source here, and end")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--mutations", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verdicts", type=Path)
    parser.add_argument("--recheck", action="store_true")
    parser.add_argument("--show", type=int, default=40, metavar="N", help="disagreements to print (default 40)")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


# --- command lines -------------------------------------------------------------------------------------------------


def _lines(options: argparse.Namespace, version: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    if options.builtin:
        found += builtin(version)
    if options.corpus:
        found += corpus(options.corpus)
    if options.mutations:
        made = mutations(version, options.seed, options.mutations)
        found += [(f"m{n}", words) for n, words in enumerate(made)]
    return found


def builtin(version: str) -> list[tuple[str, list[str]]]:
    """What every built-in config renders for this release; what cannot be rendered is told and left out."""
    from dsv4_launch.cli.configs import builtins, load_config
    from dsv4_launch.errors import Dsv4Error
    from dsv4_launch.plan.resolve import resolve

    found = []
    for name in builtins():
        try:
            loaded = load_config(name, [f"vllm={json.dumps(version)}"], "native")
            plan = resolve(loaded)
        except Dsv4Error as error:
            print(f"  {name}: not for {version}: {error}")
            continue
        if not plan.rehearsal:  # that one is for the CPU; what is asked here has simulated GPUs
            found.append((name, [MODEL, *(str(word) for argument in plan.arguments for word in argument.argv)]))
    return found


def every_release(options: argparse.Namespace) -> int:
    """The built-in configs on every release whose source is here: verdicts, table, and one file of all."""
    texts, worst = [], 0
    for version in versions():
        if vllm_of(version, options.python) is None:
            print(f"{version}: not here")
            continue
        rows = ask(builtin(version), version, options)
        worst = max(worst, report(version, rows, options))
        texts += verdict_lines(rows, version, options)
    if options.out:
        options.out.write_text("\n".join(texts) + "\n", "utf-8")
    return worst


def corpus(file: Path) -> list[tuple[str, list[str]]]:
    found = []
    for line in file.read_text("utf-8").splitlines():
        entry = json.loads(line)
        words = entry.get("argv") or argv_of(entry.get("raw") or entry.get("text") or "")
        if words:
            found.append((str(entry["id"]), words))
    return found


def argv_of(text: str) -> list[str] | None:
    """The words behind `vllm serve` (or behind an image) of a shell command without variables; else None."""
    text = re.sub(r"\\\s*\n", " ", text)
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return None
    ends = [n for n, w in enumerate(words) if re.fullmatch(r"(\d?>{1,2}\S*|&|\|\|?|&&|;|2>&1)", w)]
    starts = [n + 2 for n in range(len(words) - 1) if words[n].endswith("vllm") and words[n + 1] == "serve"]
    starts += [n + 1 for n, w in enumerate(words) if re.match(r"(\S+/)?vllm-openai\S*:", w) and "docker" in words]
    starts += [n + 1 for n, w in enumerate(words) if w == "vllm.entrypoints.openai.api_server"]
    if not starts:
        return None
    start = max(starts)
    words = words[start : next((n for n in ends if n > start), len(words))]
    return None if any("$" in w for w in words) or not words else words


# --- vLLM ----------------------------------------------------------------------------------------------------------


def ask(
    lines: Sequence[tuple[str, list[str]]], version: str, options: argparse.Namespace, within_s: float | None = None
) -> list[dict[str, Any]]:
    """What vLLM says of each; a row holds the words and the verdict. After ``within_s`` the rest is left unasked."""
    found = vllm_of(version, options.python, options.source)
    if found is None:
        print(f"error: there is no vLLM {version} to ask", file=sys.stderr)
        print(
            f"hint: scripts/agreement.py --fetch {version} brings its source; an environment comes with",
            file=sys.stderr,
        )
        print("scripts/rig up, or scripts/vllm_cpu_env.py, an environment for it", file=sys.stderr)
        raise SystemExit(1)
    python, source = found
    started = time.monotonic()
    extra = CACHE / "extra" / version
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "gpu": B200,
            "model": str(model_folder(Path(folder))),
            "warm": WARM,
            "commands": [{"id": name, "words": words} for name, words in lines],
        }
        request |= {} if within_s is None else {"within_s": within_s}
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("VLLM_", "HF_", "PYTHON"))}
        env = keep | ({"PYTHONPATH": f"{source}:{extra}"} if source else {})
        for _ in range(10):
            done = subprocess.run(
                [str(python), str(JUDGE)],
                input=json.dumps(request),
                env=env,
                capture_output=True,
                text=True,
                check=False,
                cwd=folder,
            )
            missing = re.search(r"No module named '([\w.]+)'\s*$", done.stderr)
            # An older release imports what the environment's own does not need: it is put beside it.
            if not (missing and source and install(python, source, missing.group(1), extra)):
                break
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    whole = len(answers) == len(lines) + 1 or (within_s is not None and len(answers) > 1)
    if not whole or answers[0]["vllm"].partition("+")[0] != version:
        print("error: vLLM did not answer:", *done.stderr.splitlines()[-15:], sep="\n  ", file=sys.stderr)
        raise SystemExit(1)
    head, *verdicts = answers
    print(f"vLLM {head['vllm']} answered {len(verdicts)} times in {time.monotonic() - started:.0f} s")
    return [{"words": words, **verdict} for (_, words), verdict in zip(lines, verdicts, strict=False)]


def vllm_of(version: str, python: Path | None = None, source: Path | None = None) -> tuple[Path, Path | None] | None:
    """The Python to ask and the release's source for it (None: its own); None when one of them is not there."""
    cache = CACHE.parent
    rehearsal = Path(os.environ.get("DSV4_REHEARSAL_HOME") or cache / "rehearsal") / "venv"
    pythons = [python] if python else [CACHE / "venv/bin/python", rehearsal / "bin/python"]
    source = source or CACHE / "src" / version
    for candidate in pythons:
        if not candidate.exists():
            continue
        if source.exists():
            return candidate, source
        stamp = candidate.parent.parent / "dsv4-env.json"
        if stamp.exists() and json.loads(stamp.read_text())["vllm"] == version:
            return candidate, None
    return None


def model_folder(folder: Path) -> Path:
    """The model's figures and a small tokenizer, and nothing else."""
    from dsv4_launch.deep.figures import write_figures

    return write_figures(folder / "model")


# --- ours ----------------------------------------------------------------------------------------------------------


def ours(words: Sequence[str], version: str) -> tuple[list[str], list[str]]:
    """What depth 1 says of a command line: what the parser would refuse, and what vLLM would after it."""
    from dsv4_launch.plan.argv.checks import check

    parsed = parse(words, flag_table(version))
    found = [*parsed.refusals, *check(parsed, flag_table(version))]
    early = [f"{r.code}: {r.message}" for r in found if r.code in AT_THE_PARSER]
    return early, [f"{r.code}: {r.message}" for r in found if r.code not in AT_THE_PARSER]


# --- verdict files -------------------------------------------------------------------------------------------------

SAID = 100


def write(out: Path, rows: Iterable[dict[str, Any]], version: str, options: argparse.Namespace) -> None:
    """Verdicts as JSON lines: the head, then [id, refusing stage or "" or null, what was said, words]."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(verdict_lines(rows, version, options)) + "\n", "utf-8")


def verdict_lines(rows: Iterable[dict[str, Any]], version: str, options: argparse.Namespace) -> list[str]:
    """The lines of a verdict file; of a corpus without the words."""
    head = {"vllm": version, "date": datetime.date.today().isoformat(), "gpu": "8 x NVIDIA B200, simulated"}
    head |= {"seed": options.seed} if options.mutations else {}
    lines = [json.dumps(head)]
    for row in rows:
        stage = row["stage"] if row["ok"] is False else "" if row["ok"] else None
        said = "" if row["ok"] else _one_line(row)[:SAID]
        entry = [row["id"], stage, said, *([] if options.corpus else [row["words"]])]
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    return lines


def read(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head and the rows of a verdict file of one release."""
    ((head, rows),) = read_all(file)
    return head, rows


def read_all(file: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Head and rows of each release in a verdict file."""
    parts: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for line in map(json.loads, file.read_text("utf-8").splitlines()):
        if isinstance(line, dict):
            parts.append((line, []))
            continue
        name, stage, said, *words = line
        row = {"id": name, "ok": None if stage is None else stage == "", "stage": stage or "names", "said": said}
        parts[-1][1].append(row | ({"words": words[0]} if words else {}))
    return parts


# --- the table -----------------------------------------------------------------------------------------------------


def report(version: str, rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> int:
    judged = [row for row in rows if "words" in row]
    said = [ours(row["words"], version) for row in judged]
    touched = {flag for row in judged for flag in _flags(row["words"], version)}
    print(f"vLLM {version}: {len(judged)} command lines over {len(touched)} options")
    print("  vLLM's refusals by stage:", dict(Counter(r["stage"] for r in judged if r["ok"] is False)))
    worst = 0.0
    at_load = [row["ok"] is True and not p and all(c.startswith(AT_LOAD) for c in cs) and bool(cs)
               for row, (p, cs) in zip(judged, said, strict=True)]  # fmt: skip
    print(f"  taken by vLLM, which would fail at load, and refused by us: {sum(at_load)} (not counted below)")
    judged = [row for row, late in zip(judged, at_load, strict=True) if not late]
    said = [pair for pair, late in zip(said, at_load, strict=True) if not late]
    for stage, takes in (("parser", _past_parser), ("all of it", _starts)):
        pairs = [(takes(row), not p and (stage == "parser" or not c)) for row, (p, c) in zip(judged, said, strict=True)]
        counts = Counter(pair for pair in pairs if pair[0] is not None)
        total = sum(counts.values()) or 1
        yes = counts[True, True] + counts[True, False]
        print(f"  {stage}: vLLM accepts {yes / total:.0%} of {total}")
        print(f"    both accept {counts[True, True]}, both refuse {counts[False, False]}")
        print(f"    false accept {counts[False, True]} ({counts[False, True] / total:.2%}), ", end="")
        print(f"false reject {counts[True, False]} ({counts[True, False] / total:.2%})")
        worst = max(worst, counts[True, False] / total, float(counts[False, True] > 0))
    left = options.show
    for row, (p, c) in zip(judged, said, strict=True):
        for stage, takes, no in (("parser", _past_parser, p), ("all", _starts, p + c)):
            if left and takes(row) is not None and takes(row) == bool(no) and not (stage == "all" and p):
                left -= 1
                print(f"- {row['id']} {stage}: {shlex.join(row['words'][1:])}")
                print(f"    vLLM: {'takes it' if takes(row) else row['stage'] + ': ' + _one_line(row)}")
                print(f"    ours: {'; '.join(no) or 'takes it'}")
                break
    return 10 if options.check and worst >= 0.01 else 0


def _past_parser(row: dict[str, Any]) -> bool | None:
    return None if row["stage"] == "judge" else bool(row["ok"]) or row["stage"] != "parse"


def _starts(row: dict[str, Any]) -> bool | None:
    return row["ok"] if row["ok"] is None else bool(row["ok"])


def _one_line(row: dict[str, Any]) -> str:
    return f"{row.get('type', '')} {' '.join(str(row.get('said', '')).split())[:230]}".strip()


def _flags(words: Sequence[str], version: str) -> set[str]:
    return set(parse(words, flag_table(version)).given)


if __name__ == "__main__":
    sys.exit(main())
