"""Weights from a shared directory and from another node, and what verify, repair, ls and rm make of them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import command, until
from e2e.loopback.hub_files import FileHub, shards
from e2e.ports import free_port

REPO = "deepseek-ai/DeepSeek-V4-Flash"
FOLDER = "models--deepseek-ai--DeepSeek-V4-Flash"
ONE = "model-00002-of-00006.safetensors"
NOWHERE = "http://127.0.0.1:9"


def dsv4(home: Path, *words: object, url: str = NOWHERE, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home), "HF_ENDPOINT": url, **more}
    env["HF_HUB_DISABLE_XET"] = "1"
    return subprocess.run(
        command(*words), env=env, capture_output=True, text=True, timeout=150, stdin=subprocess.DEVNULL
    )


def data_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["data"])


@pytest.fixture(scope="module")
def hub() -> Iterator[FileHub]:
    with FileHub(REPO, shards(6, 400_000)) as made:
        yield made


@pytest.fixture(scope="module")
def origin(hub: FileHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HF_HOME of a node that has pulled."""
    home = tmp_path_factory.mktemp("origin")
    done = dsv4(home, "pull", "--output", "json", url=hub.url)
    assert data_of(done)["commit"] == hub.commit
    return home


def same(home: Path, hub: FileHub) -> bool:
    snapshot = home / "hub" / FOLDER / "snapshots" / hub.commit
    return all((snapshot / name).read_bytes() == data for name, data in hub.files.items())


def works_offline(home: Path) -> bool:
    """What the server's own library finds without a Hub."""
    code = f"import huggingface_hub as h; print(h.snapshot_download({REPO!r}, local_files_only=True))"
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    python = command()[0].replace("/dsv4", "/python")
    return subprocess.run([python, "-c", code], env=env, capture_output=True, timeout=150).returncode == 0


@pytest.mark.parametrize("below", ["", "hub", f"hub/{FOLDER}"])
def test_from_a_shared_directory(below: str, origin: Path, hub: FileHub, tmp_path: Path) -> None:
    done = dsv4(tmp_path, "pull", "--source", origin / below, "--output", "json")
    assert data_of(done)["commit"] == hub.commit
    assert same(tmp_path, hub)
    assert works_offline(tmp_path)
    assert "0 B to copy" in dsv4(tmp_path, "pull", "--source", origin / below).stderr


@pytest.fixture
def daemon(origin: Path, tmp_path: Path) -> Iterator[str]:
    """An rsync daemon on loopback that has the origin's home."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    port, config = free_port(), tmp_path / "rsyncd.conf"
    module = f"[hf]\npath = {origin}\nread only = true\n"
    config.write_text(
        f"use chroot = false\nuid = {os.getuid()}\ngid = {os.getgid()}\nlog file = {tmp_path}/log\n{module}"
    )
    words = ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1", f"--port={port}"]
    child = subprocess.Popen(words)
    address = f"rsync://127.0.0.1:{port}/hf"
    until(lambda: subprocess.run(["rsync", address], capture_output=True).returncode == 0, "the daemon")
    yield address
    child.terminate()
    child.wait()


def test_from_an_rsync_daemon(daemon: str, hub: FileHub, tmp_path: Path) -> None:
    done = dsv4(tmp_path / "home", "pull", "--source", daemon, "--output", "json")
    assert data_of(done)["commit"] == hub.commit
    assert same(tmp_path / "home", hub)
    assert works_offline(tmp_path / "home")


@pytest.fixture
def ssh(tmp_path: Path) -> str:
    """A stand-in for ssh: drops the host and runs what it is given here."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    path = tmp_path / "ssh"
    path.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do [ "$1" = -l ] && shift; shift; done\nshift\nexec "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_from_a_node_by_ssh_and_a_half_copy_is_taken_up_again(ssh: str, origin: Path, hub: FileHub, tmp_path: Path):
    home = tmp_path / "home"
    staging = home / "hub" / ".locks" / FOLDER / "dsv4-staging"
    staging.mkdir(parents=True)
    (staging / hub.blob(ONE)).write_bytes(hub.files[ONE][:150_000])
    done = dsv4(home, "pull", "--source", f"user@node7:{origin}", RSYNC_RSH=ssh)
    assert done.returncode == 0, done.stderr
    assert same(home, hub)
    assert not list(staging.iterdir())


def test_half_of_another_file_does_no_harm(ssh: str, origin: Path, hub: FileHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    staging = home / "hub" / ".locks" / FOLDER / "dsv4-staging"
    for source in (str(origin), f"node7:{origin}"):
        staging.mkdir(parents=True)
        (staging / hub.blob(ONE)).write_bytes(b"?" * 150_000)
        done = dsv4(home, "pull", "--source", source, RSYNC_RSH=ssh)
        assert done.returncode == 0, done.stderr
        assert same(home, hub)
        shutil.rmtree(home)


def test_a_source_that_is_broken_is_not_believed(origin: Path, hub: FileHub, tmp_path: Path) -> None:
    bad, home = tmp_path / "bad", tmp_path / "home"
    shutil.copytree(origin, bad, symlinks=True)
    blob = bad / "hub" / FOLDER / "blobs" / hub.blob(ONE)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    done = dsv4(home, "pull", "--source", bad)
    assert done.returncode == 9
    assert f"{ONE} has a wrong hash" in done.stderr
    assert not (home / "hub" / FOLDER / "blobs" / hub.blob(ONE)).exists()
    assert not (home / "hub" / FOLDER / "refs").exists()
    blob.unlink()
    done = dsv4(home, "pull", "--source", bad)
    assert done.returncode == 9
    assert "is not complete: " in done.stderr


def test_sources_that_are_none(ssh: str, tmp_path: Path) -> None:
    empty = dsv4(tmp_path, "pull", "--source", tmp_path)
    assert (empty.returncode, "holds no Hub cache" in empty.stderr) == (9, True)
    far = dsv4(tmp_path, "pull", "--source", f"node7:{tmp_path}/nothing", RSYNC_RSH=ssh)
    assert (far.returncode, "holds no Hub cache" in far.stderr) == (9, True), far.stderr
    unreachable = dsv4(tmp_path, "pull", "--source", "rsync://127.0.0.1:9/hf")
    assert unreachable.returncode == 9
    assert "Copying from rsync://127.0.0.1:9/hf failed" in unreachable.stderr
    trick = dsv4(tmp_path, "pull", "--source", f"-e touch {tmp_path}/harm:x")
    assert trick.returncode in (2, 9)
    assert not (tmp_path / "harm").exists()


def test_verify_finds_what_is_broken_and_repair_fetches_only_that(origin: Path, hub: FileHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(origin, home, symlinks=True)
    whole = data_of(dsv4(home, "weights", "verify", "--output", "json"))
    assert {file["state"] for file in whole["snapshots"][0]["files"]} == {"intact"}  # type: ignore[index]
    snapshot = home / "hub" / FOLDER / "snapshots" / hub.commit
    third, fourth = (f"model-0000{n}-of-00006.safetensors" for n in (3, 4))
    for name, content in {ONE: b"x" + hub.files[ONE][1:], third: b"short"}.items():
        (snapshot / name).resolve().write_bytes(content)
    (snapshot / fourth).unlink()
    (snapshot / "config.json").resolve().write_bytes(hub.files["config.json"].upper())
    found = dsv4(home, "weights", "verify", "--output", "json")
    codes = {error["message"].split()[0]: error["code"] for error in json.loads(found.stdout)["errors"]}
    assert codes == {
        ONE: "weights-wrong-hash",
        third: "weights-wrong-size",
        fourth: "weights-missing",
        "config.json": "weights-wrong-hash",
    }
    assert found.returncode == 9
    before = dict(hub.sent)
    repaired = data_of(dsv4(home, "weights", "verify", "--repair", "--output", "json", url=hub.url))
    assert sorted(repaired["repaired"]) == sorted(codes)  # type: ignore[call-overload]
    assert same(home, hub)
    fetched = {name for name in hub.files if hub.sent[name] > before.get(name, 0)}
    assert fetched <= set(codes)


def test_copied_without_links_it_is_judged_by_the_list_and_unknown_is_not_passed(
    origin: Path, hub: FileHub, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(origin, home, symlinks=False)
    assert dsv4(home, "weights", "verify").returncode == 0
    shutil.rmtree(home / "hub" / FOLDER / "trees")
    done = dsv4(home, "weights", "verify")
    assert done.returncode == 9
    assert "cannot be judged" in done.stderr


def test_ls_and_rm(origin: Path, hub: FileHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(origin, home, symlinks=True)
    (one,) = data_of(dsv4(home, "weights", "ls", "--output", "json"))["snapshots"]  # type: ignore[misc]
    assert (one["repo"], one["commit"], one["refs"], one["missing"]) == (REPO, hub.commit, ["main"], [])
    assert one["size_bytes"] == sum(len(data) for data in hub.files.values())
    (home / "hub" / FOLDER / "snapshots" / hub.commit / ONE).unlink()
    assert f"incomplete: no {ONE}" in dsv4(home, "weights", "ls", REPO).stdout
    asked = dsv4(home, "weights", "rm", REPO)
    assert (asked.returncode, (home / "hub" / FOLDER).exists()) == (2, True)
    gone = data_of(dsv4(home, "weights", "rm", "flash-b200", "--yes", "--output", "json"))
    assert gone["removed"] == [hub.commit]
    assert not (home / "hub" / FOLDER).exists()
    assert dsv4(home, "weights", "rm", REPO, "--yes").returncode == 9
