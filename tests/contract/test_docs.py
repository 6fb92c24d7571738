"""What README and docs say of the program, and name in the checkout, is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.catalog.flags import versions
from dsv4_launch.catalog.limits import limits
from dsv4_launch.cli.configs import builtins
from dsv4_launch.cli.main import app
from dsv4_launch.config.load import load
from dsv4_launch.plan.resolve import examine_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text("utf-8")


def options(words: list[str]) -> set[str]:
    """Every option of a command, or of all commands of a group."""
    command = typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    several = [command, *getattr(command, "commands", {}).values()]
    return {option for one in several for param in one.params for option in param.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_script_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    named = re.findall(r"`(?:\./)?((?:scripts|docs|tests|src|configs|constraints|\.ci)/[\w./-]+)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_option_of_the_command_tables_is_one_of_its_command() -> None:
    rows = [row for row in README.splitlines() if row.startswith("| `dsv4 ")]
    assert len(rows) > 30
    for row in rows:
        said = {option for code in re.findall(r"`([^`]+)`", row) for option in re.findall(r"(?<![\w-])--[a-z-]+", code)}
        named = [words.split() for words in re.findall(r"`dsv4 ([a-z -]+)", row)]
        known = {option for words in named for option in options([word for word in words if word[0] != "-"])}
        assert said <= known, row


def test_the_readmes_config_is_valid() -> None:
    text = README.partition("## A config\n\n```yaml\n")[2].partition("```")[0]
    plan, problems = examine_config(load(text, "README.md"))
    assert problems == []
    assert plan is not None


def test_the_readme_lists_every_built_in_config() -> None:
    table = README.partition("Built in, by name:\n\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z0-9.-]+)`", table, re.M)) == set(builtins())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_counted_is_as_many(page: Path) -> None:
    text = " ".join(page.read_text("utf-8").split())
    for pattern, there_are in (
        (r"(\d+) vLLM releases", len(versions())),
        (r"all (\d+) releases", len(versions())),
        (r"(\d+) known failures", len(advisories())),
        (r"(\d+) limits of the model", len(limits())),
    ):
        assert {int(count) for count in re.findall(pattern, text)} <= {there_are}, pattern


def test_every_script_is_told_what_it_is_for() -> None:
    scripts = {
        f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix != ".txt"
    }
    page = (ROOT / "docs/development.md").read_text("utf-8")
    assert set(re.findall(r"`(scripts/[\w.]+)`", page)) >= scripts
