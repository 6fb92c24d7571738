"""Command lines of `vllm serve` that are nearly right: what people write, bent in every way that a parser can see.

Seeded: the same seed and release give the same command lines. Half of the words come from the release's own flag
table, half from pools that know nothing of it, so that a wrong table is found out too.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from dsv4_launch.catalog.flag_table import Field, Flag, FlagTable
from dsv4_launch.catalog.flags import flag_table, versions

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
# Each of these makes vLLM look for a file or ask the Hub, print and leave, or import code: nothing to agree about.
LEFT_OUT = {"help", "version", "model", "tokenizer", "hf_config_path", "model_tag", "tool_parser_plugin", "config",
            "reasoning_parser_plugin", "chat_template", "revision", "tokenizer_revision", "code_revision",
            "logits_processor_pattern", "spec_model", "generation_config", "model_weights", "middleware", "grpc",
            "io_processor_plugin", "logits_processors", "worker_cls", "worker_extension_cls", "scheduler_cls",
            "log_config_file", "logging_config", "ssl_keyfile", "ssl_certfile", "ssl_ca_certs"}  # fmt: skip
DOCUMENTED: list[list[str]] = [
    ["--kv-cache-dtype", "fp8"],
    ["--block-size", "256"],
    ["--tensor-parallel-size", "4"],
    ["--enable-expert-parallel"],
    ["--max-model-len", "auto"],
    ["--max-num-batched-tokens", "65536"],
    ["--max-num-seqs", "1024"],
    ["--gpu-memory-utilization", "0.90"],
    ["--compilation-config", '{"cudagraph_mode":"FULL_AND_PIECEWISE","custom_ops":["all"]}'],
    ["--tokenizer-mode", "deepseek_v4"],
    ["--tool-call-parser", "deepseek_v4", "--enable-auto-tool-choice"],
    ["--reasoning-parser", "deepseek_v4"],
    ["--trust-remote-code"],
    ["--speculative-config", '{"method":"mtp","num_speculative_tokens":2}'],
    ["-dp", "2"],
    ["-ep"],
    ["--no-enable-prefix-caching"],
    ["--port", "8100"],
]
INTEGERS = ["0", "1", "2", "3", "4", "8", "16", "256", "257", "1024", "8192", "-1", "-7", "1.5", "1e3", "64k", "1M",
            "0.5m", "0.5M", "1_000", " 8", "0x10", "many", "", "auto", "None", "∞", "99999999999999999999"]  # fmt: skip
NUMBERS = ["0", "0.0", "0.5", "0.9", "1", "1.0", "1.01", "-0.1", "2", "1e-3", "nan", "inf", ".5", "half", "", "None",
           "0,9", "90%"]  # fmt: skip
WORDS = ["auto", "AUTO", "fp8", "FP8", "bfloat16", "float16", "half", "none", "None", "", "true", "False", "x", "mp",
         "ray", "error", "info", "deepseek_v4", "a,b", "name=path", "*", "[]", "{}", "null", "0", "1",
         "hf"]  # fmt: skip
TABLES = ["{}", "[]", "null", "None", "", "true", "1", '""', "{'a': 1}", '{\\"a\\": 1}', '{"a": 1', '{"a": 1}',
          '{"": 1}',
          '{"method": "mtp"}', '{"backend": "auto"}', '{"mode": 3}', '{"mode": "x"}', "a=b", '{"a.b": 1}']  # fmt: skip
EXTRA = ("x", "-", "--", "-x", "--x", "=", "-1", "", "a b", "-a b", "--a b")
LEAVES: list[Any] = [0, 1, -1, 2, 1.5, 0.5, True, False, None, "", "auto", "x", "1", "true", "1k", [], ["x"], [1, 2],
                     {}, {"a": 1}, 1e400, "FULL", "NONE"]  # fmt: skip


class Mutator:
    """One release's command lines, drawn one after the other."""

    def __init__(self, version: str, seed: int) -> None:
        self.draw = random.Random(f"{seed}")
        self.table: FlagTable = flag_table(version)
        self.flags = [f for d, f in sorted(self.table.by_dest.items()) if f.flags and d not in LEFT_OUT]
        known = set(self.table.by_flag)
        self.foreign = sorted({s for v in versions() for s in flag_table(v).by_flag if s not in known})
        self.nested = [f for f in self.flags if f.kind == "json" and f.config]

    def line(self) -> list[str]:
        """One command line: documented options, some drawn ones, most of them unbent."""
        draw = self.draw
        words = [w for part in draw.sample(DOCUMENTED, draw.randint(0, 6)) for w in part]
        parts = [self.option(sound=draw.random() < 0.75) for _ in range(draw.choice((0, 1, 1, 2, 2, 3)))]
        for part in parts:
            words += part
        words = [MODEL, *words]
        if draw.random() < 0.45:
            words = draw.choice(self.bends())(words)
        return words

    # --- options ---------------------------------------------------------------------------------------------------

    def option(self, *, sound: bool) -> list[str]:
        flag = self.draw.choice(self.nested if self.draw.random() < 0.3 else self.flags)
        spelling = self.draw.choice(flag.flags)
        if not sound and self.draw.random() < 0.15:
            spelling = self.draw.choice(self.foreign)
        if flag.kind in ("bool", "store_true"):
            return [spelling] if sound or self.draw.random() < 0.5 else [spelling, self.draw.choice(WORDS)]
        if flag in self.nested and self.draw.random() < 0.6:
            return self.dotted(flag, spelling, sound=sound)
        values = self.values(flag, sound=sound)
        if len(values) == 1 and self.draw.random() < 0.4:
            return [f"{spelling}={values[0]}"]
        return [spelling, *values]

    def values(self, flag: Flag, *, sound: bool) -> list[str]:
        count = 1
        if flag.nargs in ("*", "+"):
            count = self.draw.choice((1, 1, 2, 3)) if sound else self.draw.choice((0, 1, 2))
        elif isinstance(flag.nargs, int):
            count = flag.nargs if sound else max(0, flag.nargs + self.draw.choice((-1, 0, 1)))
        elif flag.nargs == "?":
            count = self.draw.choice((0, 1))
        return [self.value(flag, sound=sound) for _ in range(count)]

    def value(self, flag: Flag, *, sound: bool) -> str:
        words = flag.choices or flag.known
        if words and self.draw.random() < (0.95 if sound else 0.3):
            return str(self.draw.choice(words))
        if flag in self.nested:
            if self.draw.random() < (0.95 if sound else 0.5):
                return json.dumps(self.fields(flag, sound=sound))
            return self.draw.choice(TABLES)
        pools = {"int": INTEGERS, "human_int": INTEGERS, "human_int_or_auto": INTEGERS, "float": NUMBERS,
                 "json": TABLES, "json_or_str": TABLES}  # fmt: skip
        pool = pools.get(flag.kind, WORDS)
        if sound:
            pool = [w for w in pool if _plausible(flag.kind, w)] or pool
        return self.draw.choice(pool)

    def fields(self, flag: Flag, *, sound: bool) -> dict[str, Any]:
        names = sorted(flag.fields)
        chosen = self.draw.sample(names, min(len(names), self.draw.choice((1, 1, 2))))
        found = {n: self.leaf(flag.fields[n], sound=sound) for n in chosen}
        if not sound and self.draw.random() < 0.2:
            found[self.misspelt(self.draw.choice(names))] = 1
        return found

    def leaf(self, field: Field, *, sound: bool) -> Any:
        if not sound and self.draw.random() < 0.6:
            return self.draw.choice(LEAVES)
        if field.choices:
            return self.draw.choice(field.choices)
        text = json.dumps(field.type)
        kinds: list[Any] = []
        kinds += [1, 2, 4] if '"int"' in text else []
        kinds += [0.5, 1.0] if '"float"' in text else []
        kinds += [True, False] if '"bool"' in text else []
        kinds += ["x"] if '"str"' in text else []
        kinds += [[]] if '"list"' in text else []
        kinds += [{}] if '"dict"' in text or '"cls"' in text else []
        kinds += [None] if '"none"' in text else []
        return self.draw.choice(kinds or LEAVES)

    def dotted(self, flag: Flag, spelling: str, *, sound: bool) -> list[str]:
        names = sorted(flag.fields)
        words: list[str] = []
        for name in self.draw.sample(names, min(len(names), self.draw.choice((1, 1, 2)))):
            value = self.leaf(flag.fields[name], sound=sound)
            if not sound and self.draw.random() < 0.15:
                name = self.misspelt(name)
            said = value if isinstance(value, str) else json.dumps(value)
            if isinstance(value, bool) and self.draw.random() < 0.5:
                said = str(value)
            key = f"{spelling}.{name}"
            if isinstance(value, list) and self.draw.random() < 0.5:
                key, said = f"{key}+", ",".join(map(str, value))
            words += [f"{key}={said}"] if self.draw.random() < 0.6 else [key, said]
        return words

    # --- what happens to a whole line ------------------------------------------------------------------------------

    def bends(self) -> list[Callable[[list[str]], list[str]]]:
        return [self.underscores, self.prefix, self.cut_off, self.repeat, self.drop, self.typo, self.negate, self.join,
                self.shuffle, self.model_last, self.extra, self.level, self.case, self.other_value, self.foreigner,
                self.dashes]  # fmt: skip

    def _at(self, words: list[str], start: str = "--") -> int | None:
        found = [n for n, w in enumerate(words) if w.startswith(start) and len(w) > 3]
        return self.draw.choice(found) if found else None

    def _renamed(self, words: list[str], change: Callable[[str], str]) -> list[str]:
        n = self._at(words)
        if n is None:
            return words
        name, equals, value = words[n].partition("=")
        return [*words[:n], change(name) + equals + value, *words[n + 1 :]]

    def underscores(self, words: list[str]) -> list[str]:
        return self._renamed(words, lambda name: "--" + name[2:].replace("-", "_"))

    def dashes(self, words: list[str]) -> list[str]:
        return self._renamed(words, lambda name: self.draw.choice((name[1:], "-" + name, name.replace("-", "", 1))))

    def prefix(self, words: list[str]) -> list[str]:
        return self._renamed(words, lambda name: name[: -self.draw.randint(1, max(1, len(name) // 3))])

    def cut_off(self, words: list[str]) -> list[str]:
        return words[:-1]

    def repeat(self, words: list[str]) -> list[str]:
        n = self._at(words)
        if n is None:
            return words
        again = words[n : n + self.draw.choice((1, 2))]
        return words + again

    def drop(self, words: list[str]) -> list[str]:
        n = self.draw.randrange(len(words))
        return words[:n] + words[n + 1 :]

    def misspelt(self, name: str) -> str:
        n = self.draw.randrange(2, max(3, len(name) - 1)) if len(name) > 3 else 0
        return self.draw.choice((name[:n] + name[n + 1 :], name[:n] + name[n : n + 1] * 2 + name[n + 1 :], name + "s"))

    def typo(self, words: list[str]) -> list[str]:
        return self._renamed(words, self.misspelt)

    def negate(self, words: list[str]) -> list[str]:
        return self._renamed(words, lambda name: f"--no-{name[2:]}")

    def join(self, words: list[str]) -> list[str]:
        n = self._at(words, "-")
        if n is None or n + 1 == len(words) or "=" in words[n]:
            return words
        return [*words[:n], f"{words[n]}={words[n + 1]}", *words[n + 2 :]]

    def shuffle(self, words: list[str]) -> list[str]:
        other = words[1:]
        self.draw.shuffle(other)
        return [words[0], *other]

    def model_last(self, words: list[str]) -> list[str]:
        model = self.draw.choice(([words[0]], ["--model", words[0]], [f"--model={words[0]}"], ["--", words[0]], []))
        return [*words[1:], *model]

    def extra(self, words: list[str]) -> list[str]:
        n = self.draw.randrange(1, len(words) + 1)
        return [
            *words[:n],
            self.draw.choice(("x", "-", "--", "-x", "--x", "=", "-1", "", "a b", "-a b", "--a b")),
            *words[n:],
        ]

    def level(self, words: list[str]) -> list[str]:
        return words + self.draw.choice((["-O3"], ["-O", "2"], ["-O=1"], ["-O"], ["-O4"], ["-Ox"], ["-O", "x"], ["-O0"],
                                         ["-cc.mode=3"], ["-cc.mode", "NONE"], ["-cc", "3"], ["-cc"]))  # fmt: skip

    def case(self, words: list[str]) -> list[str]:
        n = self.draw.randrange(1, len(words) + 0) if len(words) > 1 else 0
        return [*words[:n], words[n].swapcase(), *words[n + 1 :]] if n else words

    def other_value(self, words: list[str]) -> list[str]:
        found = [n for n, w in enumerate(words) if n and not w.startswith("-")]
        if not found:
            return words
        n = self.draw.choice(found)
        return [*words[:n], self.draw.choice(self.draw.choice((INTEGERS, NUMBERS, WORDS, TABLES))), *words[n + 1 :]]

    def foreigner(self, words: list[str]) -> list[str]:
        return [*words, self.draw.choice(self.foreign)]


def _plausible(kind: str, word: str) -> bool:
    if kind == "json":
        return word.startswith("{") and "'" not in word and "\\" not in word and word.endswith("}")
    if kind == "float":
        return word in ("0.5", "0.9", "1", "1.0")
    if "int" in kind:
        return word in ("1", "2", "4", "8", "16", "256", "1024", "8192")
    return word not in ("", "None")


def mutations(version: str, seed: int, count: int) -> list[list[str]]:
    """``count`` different command lines for one release."""
    mutator, found = Mutator(version, seed), {}
    while len(found) < count:
        words = mutator.line()
        found["\0".join(words)] = words
    return list(found.values())
