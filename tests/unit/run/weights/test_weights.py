"""Weights without a network or a process: the cache's layout, hashes, failures in words, sources by their text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.progress import Now, Silent
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights import hub_errors
from dsv4_launch.run.weights.failures import failure
from dsv4_launch.run.weights.hash import blob_of, can_check, digest, matches
from dsv4_launch.run.weights.pull import Pull, missing, pull_of
from dsv4_launch.run.weights.source import is_remote
from dsv4_launch.run.weights.verify import verify

REPO = "owner/name"
COMMIT = "a" * 40


def snapshot(cache: Path, files: dict[str, bytes], *, tree: bool = True) -> Path:
    """A model in a cache, as huggingface_hub lays it out."""
    folder = layout.repo_folder(cache, REPO)
    listed = {}
    for name, data in files.items():
        large = name.endswith(".safetensors")
        git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        blob = hashlib.sha256(data).hexdigest() if large else git
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        (folder / "blobs" / blob).write_bytes(data)
        pointer = folder / "snapshots" / COMMIT / name
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.symlink_to(f"../../blobs/{blob}")
        listed[name] = {
            "size": len(data),
            "blob_id": git,
            **({"lfs_sha256": blob, "lfs_size": len(data)} if large else {}),
        }
    if tree:
        (folder / "trees").mkdir()
        (folder / "trees" / f"{COMMIT}.json").write_text(json.dumps({"format_version": 1, "files": listed}))
    return folder / "snapshots" / COMMIT


INDEX = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).encode()
FILES = {
    "config.json": b"{}",
    "model.safetensors.index.json": INDEX,
    "one.safetensors": b"1" * 10,
    "two.safetensors": b"2" * 10,
}


def test_a_ref_is_written_once_and_a_commit_needs_none(tmp_path: Path) -> None:
    snapshot(tmp_path, FILES)
    layout.write_ref(tmp_path, REPO, COMMIT, COMMIT)
    assert layout.refs_of(tmp_path, REPO) == {}
    layout.write_ref(tmp_path, REPO, "", COMMIT)
    layout.write_ref(tmp_path, REPO, "refs/pr/1", COMMIT)
    assert layout.refs_of(tmp_path, REPO) == {"main": COMMIT, "refs/pr/1": COMMIT}
    assert layout.commit_of(tmp_path, REPO, "") == layout.commit_of(tmp_path, REPO, "main") == COMMIT
    assert layout.commit_of(tmp_path, REPO, "other") == ""
    assert (layout.repo_folder(tmp_path, REPO) / "refs" / "main").read_text() == COMMIT


@pytest.mark.parametrize("tree", [True, False])
def test_what_is_missing_is_said_by_the_list_or_else_by_the_index(tree: bool, tmp_path: Path) -> None:
    path = snapshot(tmp_path, FILES, tree=tree)
    assert layout.missing_of(tmp_path, REPO, COMMIT) == ()
    (path / "two.safetensors").resolve().unlink()  # a link to nothing is not a file
    assert layout.missing_of(tmp_path, REPO, COMMIT) == ("two.safetensors",)


@pytest.mark.parametrize("text", ["", "[]", '{"files": {"x": 1}}', '{"files": []}', "\x00"])
def test_a_list_that_is_none_is_passed_over(text: str, tmp_path: Path) -> None:
    snapshot(tmp_path, FILES)
    (layout.repo_folder(tmp_path, REPO) / "trees" / f"{COMMIT}.json").write_text(text)
    assert layout.listed(tmp_path, REPO, COMMIT) is None
    assert layout.missing_of(tmp_path, REPO, COMMIT) == ()


def test_without_list_and_index_nobody_knows(tmp_path: Path) -> None:
    snapshot(tmp_path, {"config.json": b"{}"}, tree=False)
    (one,) = layout.cached(tmp_path)
    assert (one.repo, one.commit, one.missing) == (REPO, COMMIT, None)
    assert layout.cached(tmp_path / "nothing") == []
    assert layout.cached(tmp_path, "other/name") == []


def test_halves_are_swept_unless_they_are_young_or_locked(tmp_path: Path) -> None:
    import fcntl

    blobs = layout.repo_folder(tmp_path, REPO) / "blobs"
    blobs.mkdir(parents=True)
    for name in ("aa.1.incomplete", "bb.incomplete", "cc"):
        (blobs / name).write_bytes(b"123")
    locks = layout.locks_folder(tmp_path, REPO)
    locks.mkdir(parents=True)
    assert layout.sweep(tmp_path, REPO, 3600) == 0
    with (locks / "aa.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert layout.sweep(tmp_path, REPO, 0) == 3
        assert sorted(path.name for path in blobs.iterdir()) == ["aa.1.incomplete", "cc"]
    assert layout.sweep(tmp_path, REPO, 0) == 3


def test_hashes_are_those_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello\n")
    # `git hash-object` and `sha256sum` of the same file.
    assert digest(path, "0" * 40) == "ce013625030ba8dba906f756967f9e9ca394464a"
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    counted: list[int] = []
    assert matches(path, sha256, counted.append)
    assert counted == [6]
    assert not matches(path, sha256[::-1])
    assert [can_check(text) for text in (sha256, "a" * 40, "", "../x", "A" * 40, "g" * 64)] == [
        True,
        True,
        *[False] * 4,
    ]
    assert blob_of(path) == ""


def test_verify_judges_every_file_and_unknown_is_not_intact(tmp_path: Path) -> None:
    path = snapshot(tmp_path, {**FILES, "notes.txt": b"plain"}, tree=False)
    (path / "one.safetensors").resolve().write_bytes(b"9" * 10)
    (path / "two.safetensors").unlink()
    (path / "notes.txt").unlink()
    (path / "notes.txt").write_bytes(b"no link")
    (one,) = layout.cached(tmp_path)
    verdict = verify(str(tmp_path), one, Silent())
    assert {file.path: file.state for file in verdict.files} == {
        "config.json": "intact",
        "model.safetensors.index.json": "intact",
        "notes.txt": "not-checked",
        "one.safetensors": "wrong-hash",
        "two.safetensors": "missing",
    }
    assert [file.path for file in verdict.broken] == ["one.safetensors", "two.safetensors"]
    assert [file.path for file in verdict.unknown] == ["notes.txt"]


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("rsync://node7/hf", True),
        ("user@node7:.cache/huggingface", True),
        ("node7:/data/hf", True),
        ("/mnt/share:old", False),
        ("./a:b", False),
        ("share", False),
        ("-e touch x:y", False),
    ],
)
def test_what_is_another_node(text: str, remote: bool) -> None:
    assert is_remote(text) is remote


def test_a_gated_model_is_told_with_the_page_to_ask_at() -> None:
    (problem,) = failure("gated", REPO, token_env="MY_TOKEN").problems
    assert "https://huggingface.co/owner/name" in problem.fix
    assert "MY_TOKEN" in problem.fix
    assert (problem.code, failure("gated", REPO).exit_code) == ("weights-gated", 9)


class Answer:
    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.headers = headers


class Refused(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        self.response = Answer(status, **headers)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "denied"), (403, "denied"), (429, "rate-limit"), (503, "server-error"), (418, "failed")]
)
def test_the_word_for_a_status_also_below_another_error(status: int, kind: str) -> None:
    assert hub_errors.kind_of(Refused(status)) == kind
    outer = ValueError("outer")
    outer.__cause__ = Refused(status)
    assert hub_errors.kind_of(outer) == kind


def test_how_long_to_wait() -> None:
    asked = Refused(429)
    asked.response.headers = {"Retry-After": "7"}
    assert hub_errors.wait_s(asked, 1) == 7
    asked.response.headers = {"Retry-After": "99999"}
    assert hub_errors.wait_s(asked, 1) is None
    assert [hub_errors.wait_s(Refused(503), n) for n in (1, 2, 5, 9)] == [1, 2, 16, 30]


def test_a_full_disk_and_our_own_failures_have_their_words() -> None:
    assert hub_errors.kind_of(OSError(28, "No space left on device")) == "no-space"
    assert hub_errors.kind_of(hub_errors.HubFailure("wrong-hash", "x")) == "wrong-hash"
    assert hub_errors.said(hub_errors.HubFailure("wrong-hash", "x\ny")) == "x"
    assert hub_errors.cut_short(OSError("Consistency check failed: file should be of size 3"))


def test_a_local_model_needs_no_pull_and_no_pull_says_what_to_do() -> None:
    assert pull_of(resolve(load_config("rehearsal-cpu")), "/c") is None
    wanted = pull_of(resolve(load_config("flash-b200")), "/c")
    assert wanted is not None
    assert (wanted.repo, wanted.cache, wanted.token_env) == ("deepseek-ai/DeepSeek-V4-Flash", "/c", "HF_TOKEN")
    assert "dsv4 pull" in missing(Pull(REPO, "", "/c", "T")).problems[0].fix


def test_bars_come_and_go_with_their_files() -> None:
    import io

    from rich.console import Console

    from dsv4_launch.run.weights.bars import MOST_BARS, Bars
    from dsv4_launch.run.weights.pull import FileNow

    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=True, width=120))
    bars.say("before")
    bars.show(Now("pulling x", 1, 100, "B", "0 of 46 files"))
    bars.watch([FileNow(f"f{n}", 1, 9) for n in range(46)])
    assert len(bars._tasks) == MOST_BARS
    bars.watch([FileNow("f0", 9, 9), FileNow("f45", 3, 9)])
    assert list(bars._tasks) == ["f45"]
    bars.close()
    assert "before" in out.getvalue()
    assert "f45" in out.getvalue()
