#!/usr/bin/env python3
"""How good the memory planner is: against published logs, and against vLLM's own planner.

    scripts/fit_accuracy.py                               every published figure, predicted, with the error
    scripts/fit_accuracy.py --oracle PYTHON               vLLM 0.32.0's planner against ours: random layouts and lengths
    scripts/fit_accuracy.py --oracle PYTHON --save FILE   and keep its verdicts
    scripts/fit_accuracy.py --oracle PYTHON --layouts 2   so many of the layouts, drawn by the seed
    scripts/fit_accuracy.py --oracle PYTHON --sources DIR the planner code of every release in DIR/VERSION

PYTHON is the environment of scripts/vllm_cpu_env.py (DIR/bin/python); a layout takes about 8 s there. Published figures
are tests/recorded/memory/published.json. Exit codes: 0 no mismatch, 6 a tool failed, 10 a mismatch.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.unit.plan.fit_oracle_cases import judge, predicted  # noqa: E402

from dsv4_launch.catalog.memory import regime  # noqa: E402

PUBLISHED = ROOT / "tests/recorded/memory/published.json"
MODEL = ROOT / "tests/recorded/memory/config.json"
DRAFTS = {"": 0, "mtp": 1, "dspark": 5}
# tensor, data, pipeline, expert, draft, fp4 indexer, MegaMoE
LAYOUTS = (
    (4, 1, 1, True, "", True, True),
    (8, 1, 1, True, "", True, True),
    (8, 1, 1, False, "", False, False),
    (4, 1, 1, False, "", True, False),
    (2, 1, 1, True, "", False, False),
    (1, 4, 1, True, "", True, True),
    (1, 8, 1, True, "", False, True),
    (2, 4, 1, True, "", True, True),
    (4, 2, 1, True, "", True, False),
    (4, 1, 1, True, "mtp", True, True),
    (4, 1, 1, False, "mtp", False, False),
    (1, 8, 1, True, "mtp", True, True),
    (4, 1, 1, True, "dspark", True, True),
    (8, 1, 1, False, "dspark", False, False),
    (2, 1, 2, False, "", True, False),
    (2, 1, 4, True, "", False, False),
    (2, 1, 2, True, "mtp", True, True),
    (4, 1, 2, True, "dspark", False, True),
)
NAMES = ("tensor", "data", "pipeline", "expert", "draft", "fp4_indexer", "mega_moe")


def cases(seed: random.Random, count: int) -> list[dict]:
    """Lengths, batch sizes and memory as they come, from hopeless to plenty."""
    made = []
    for _ in range(count):
        length = seed.choice(
            [0, 0, 1048576, seed.randint(1, 1048576), seed.randint(1, 65536), 2 ** seed.randint(8, 20)]
        )
        tokens = seed.choice([2048, 8192, 16384, 65536, seed.randint(1024, 70000)])
        gib = seed.choice([seed.uniform(0.5, 12), seed.uniform(12, 80), seed.uniform(80, 140)])
        made.append(
            {
                "max_model_len": length,
                "max_num_batched_tokens": tokens,
                "asynchronous": seed.random() < 0.75,
                "available_bytes": int(gib * 2**30),
            }
        )
    return made


def published() -> int:
    """Print every published figure beside ours."""
    rows = json.loads(PUBLISHED.read_text("utf-8"))["rows"]
    sys.stdout.write(f"{'source':58} {'quantity':16} {'ours':>14} {'published':>14} {'error':>8}  kind\n")
    for row in rows:
        ours, theirs = predicted(row), row["published"]
        error = f"{(ours / theirs - 1) * 100:+.2f}%"
        sys.stdout.write(
            f"{row['source']:58} {row['quantity']:16} {ours:14,.3f} {theirs:14,.3f} {error:>8}  {row['kind']}\n"
        )
    return 0


def model_folder(folder: Path, draft: str) -> Path:
    """A folder with the model's public configuration; DSpark's checkpoint has further fields."""
    config = json.loads(MODEL.read_text("utf-8"))
    if draft == "dspark":
        config["compress_ratios"] = [*config["compress_ratios"], 0, 0]
        config |= {
            "dspark_block_size": 5,
            "dspark_markov_rank": 256,
            "dspark_target_layer_ids": [40, 41, 42],
            "dspark_noise_token_id": 128799,
        }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def oracle(python: str, count: int, seed: int, save: Path | None, most: int | None = None) -> int:
    """Ask vLLM's planner, compare with ours, print what differs; ``most`` of the layouts, where that is given."""
    random_, verdicts, wrong, asked, version = random.Random(seed), [], 0, 0, ""
    each = -(-count // len(LAYOUTS))
    layouts = list(LAYOUTS) if most is None else random_.sample(LAYOUTS, len(LAYOUTS))[:most]
    for values in layouts:
        layout = dict(zip(NAMES, values, strict=True)) | {"draft_tokens": DRAFTS[values[4]]}
        with tempfile.TemporaryDirectory() as folder:
            question = {
                "model": str(model_folder(Path(folder) / "model", values[4])),
                "layout": layout,
                "cases": cases(random_, each),
            }
            run = subprocess.run(
                [python, str(ROOT / "scripts/fit_oracle.py")],
                input=json.dumps(question),
                capture_output=True,
                text=True,
                timeout=1200,
                check=False,
            )
        if run.returncode:
            sys.stderr.write(f"{layout}: {run.stderr[-2000:]}\n")
            return 6
        answer = json.loads(run.stdout.splitlines()[-1])
        version = answer["vllm"]
        verdict = {"layout": layout, "parameter_bytes": answer["parameter_bytes"], "cases": []}
        for case, said in zip(question["cases"], answer["answers"], strict=True):
            verdict["cases"].append({**case, **said})
        problems = judge(version, verdict)
        asked, wrong = asked + len(verdict["cases"]), wrong + len(problems)
        verdicts.append(verdict)
        sys.stdout.write(f"{layout}: {len(verdict['cases'])} cases, {len(problems)} mismatches\n")
        for problem in problems[:5]:
            sys.stdout.write(f"  {problem}\n")
    sys.stdout.write(f"vLLM {version}: {asked} cases, {wrong} mismatches\n")
    if save:
        lines = ",\n".join(json.dumps(verdict, separators=(",", ":")) for verdict in verdicts)
        save.write_text(f'{{"vllm":"{version}","seed":{seed},"verdicts":[\n{lines}\n]}}\n')
    return 10 if wrong else 0


def releases(python: str, sources: Path, seed: int, save: Path | None) -> int:
    """Ask the planner code of every release whose source is there, compare, print what differs."""
    random_, found, wrong, asked = random.Random(seed), [], 0, 0
    for source in sorted(sources.iterdir(), key=lambda path: [int(n) for n in path.name.split(".")]):
        question = [
            {
                "draft": draft,
                "drafts": drafts,
                "fp4_indexer": fp4,
                "small_fp4": regime(source.name).fp4_bytes_per_state == 68,
                "cases": cases(random_, 6),
            }
            for draft, drafts in (("", 0), ("mtp", 1), ("dspark", 3))
            for fp4 in (False, True)
        ]
        run = subprocess.run(
            [python, str(ROOT / "scripts/fit_release_oracle.py")],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        if run.returncode:
            sys.stdout.write(f"{source.name}: not run: {run.stderr.strip().splitlines()[-1]}\n")
            continue
        verdicts, problems = [], []
        for combination, said in zip(question, json.loads(run.stdout.splitlines()[-1]), strict=True):
            layout = {name: combination[name] for name in ("draft", "fp4_indexer")} | {"pipeline": 1}
            answered = [{**case, **one} for case, one in zip(combination["cases"], said, strict=True)]
            verdicts.append({"layout": layout, "cases": answered})
            problems += judge(source.name, verdicts[-1])
        count = sum(len(verdict["cases"]) for verdict in verdicts)
        asked, wrong = asked + count, wrong + len(problems)
        found.append({"vllm": source.name, "verdicts": verdicts})
        sys.stdout.write(f"{source.name}: {count} cases, {len(problems)} mismatches\n")
        for problem in problems[:3]:
            sys.stdout.write(f"  {problem}\n")
    sys.stdout.write(f"{len(found)} releases, {asked} cases, {wrong} mismatches\n")
    if save:
        lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in found)
        save.write_text(f'{{"seed":{seed},"releases":[\n{lines}\n]}}\n')
    return 10 if wrong else 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", metavar="PYTHON", help="Python of an environment with vLLM's CPU build")
    parser.add_argument("--cases", type=int, default=360)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--layouts", type=int, metavar="N", help="ask of so many layouts, drawn by the seed")
    parser.add_argument("--sources", type=Path, metavar="DIR", help="ask the planner of each release in DIR/VERSION")
    arguments = parser.parse_args()
    if arguments.oracle and arguments.sources:
        return releases(arguments.oracle, arguments.sources, arguments.seed, arguments.save)
    if arguments.oracle:
        return oracle(arguments.oracle, arguments.cases, arguments.seed, arguments.save, arguments.layouts)
    return published()


if __name__ == "__main__":
    sys.exit(main())
