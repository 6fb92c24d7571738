from __future__ import annotations

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.models import variants
from dsv4_launch.catalog.releases import releases
from dsv4_launch.catalog.rules import WHEN_KEYS, applies, constraints, rules
from dsv4_launch.catalog.version import within

MUST = {"in", "not_in", "min", "max", "divides", "present", "absent"}
# What each fact can be at all: a rule whose value is not here can never match.
POSSIBLE = {
    "model": set(variants()),
    "precision": {v.precision for v in variants().values()},
    "draft": {v.draft for v in variants().values()} | {""},
    "arch": {g.arch for g in gpus().values()} | {"sm80"},
    "gpu": set(gpus()),
    "strategy": {"tp", "tep", "dp", "dep"},
    "target": {"docker", "native"},
    "indexer_cache_dtype": {"fp4", "fp8", ""},
    "speculative": {"mtp", "deepseek_mtp", "dspark", "eagle3", "ngram", ""},
}


def test_rules_and_constraints_ask_only_what_can_be():
    for entry in (*rules(), *constraints()):
        assert set(entry.when) <= WHEN_KEYS, entry
        for key, wanted in entry.when.items():
            if key == "vllm":
                assert any(within(version, wanted) for version in releases()), entry
            else:
                assert set(wanted) <= POSSIBLE[key], entry


def test_every_rule_and_constraint_gives_its_reason_and_source():
    for entry in (*rules(), *constraints()):
        assert len(entry.why) > 10
        assert entry.source.startswith(("https://", "vllm 0."))


def test_a_rule_does_something():
    assert all(rule.default or rule.set or rule.drop for rule in rules())


def test_constraints_have_one_kind_of_must_and_a_code_of_their_own():
    assert all(set(c.must) <= MUST and c.must for c in constraints())
    codes = [c.code for c in constraints()]
    assert len(codes) == len(set(codes))


def test_applies_needs_every_key():
    facts = {"vllm": "0.28.0", "arch": "sm100"}
    assert applies({"vllm": ">=0.28.0", "arch": ["sm100"]}, facts)
    assert not applies({"vllm": ">=0.28.0", "arch": ["sm90"]}, facts)
    assert not applies({"vllm": "<0.28.0"}, facts)
    assert applies({}, facts)
