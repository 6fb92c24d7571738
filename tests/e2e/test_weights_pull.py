"""Weights from a Hub on loopback with the real client: everything that a real one does, and goes wrong with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.errors import WeightsError
from dsv4_launch.run.progress import Now
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.pull import FileNow, Pull, pull_weights
from e2e.conftest import command, until
from e2e.loopback.hub_files import Fault, FileHub, shards

REPO = "deepseek-ai/DeepSeek-V4-Flash"
SMALL = 300_000
ONE = "model-00003-of-00005.safetensors"


class Seen:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.now: list[Now] = []
        self.said: list[str] = []
        self.files: list[list[FileNow]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, now: Now) -> None:
        self.now.append(now)

    def close(self) -> None:
        pass

    def watch(self, files: object) -> None:
        self.files.append(list(files))  # type: ignore[call-overload]


def environ(home: Path, url: str, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", **more}


def fetch(home: Path, hub: FileHub, revision: str = "", seen: Seen | None = None, **more: str) -> tuple[Path, Seen]:
    seen = seen or Seen()
    wanted = Pull(REPO, revision, str(home / "hub"), "MY_TOKEN")
    path = pull_weights(wanted, environ(home, hub.url, **more), seen, watch=seen.watch, no_progress_s=30)
    return Path(path), seen


def dsv4(home: Path, url: str, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    env = environ(home, url, HF_HOME=str(home), **more)
    return subprocess.run(command(*words), env=env, capture_output=True, text=True, timeout=150)


@pytest.fixture
def hub() -> Iterator[FileHub]:
    with FileHub(REPO, shards(5, SMALL)) as made:
        yield made


def refused(home: Path, hub: FileHub, code: str, revision: str = "", **more: str) -> tuple[str, str]:
    with pytest.raises(WeightsError) as caught:
        fetch(home, hub, revision, **more)
    (problem,) = caught.value.problems
    assert problem.code == code, problem
    return problem.where, problem.fix


def test_a_checkpoint_of_46_shards(tmp_path: Path) -> None:
    with FileHub(REPO, shards(46, SMALL)) as hub:
        path, seen = fetch(tmp_path, hub)
        again, _ = fetch(tmp_path, hub)
        for name, data in hub.files.items():
            assert (path / name).read_bytes() == data
            assert hub.sent[name] == len(data), "a byte was fetched twice"
    assert again == path
    assert path.name == hub.commit == layout.commit_of(tmp_path / "hub", REPO, "main")
    assert layout.missing_of(tmp_path / "hub", REPO, hub.commit) == ()
    assert {file.path for file in seen.files[-1]} == set(hub.files)
    assert seen.now[-1].total == sum(len(data) for data in hub.files.values())
    assert not list((tmp_path / "hub").rglob("*.incomplete"))


def test_a_hub_without_xet_is_read_with_its_client_installed(tmp_path: Path, hub: FileHub) -> None:
    import hf_xet  # noqa: F401 - it is there, and nothing is served that it could take

    path, _ = fetch(tmp_path, hub, HF_HUB_DISABLE_XET="0")
    assert all((path / name).read_bytes() == data for name, data in hub.files.items())


def test_the_commit_is_recorded_only_when_all_is_there(tmp_path: Path, hub: FileHub) -> None:
    hub.faults[ONE] = [Fault(404, {"X-Error-Code": "EntryNotFound"})] * 20
    refused(tmp_path, hub, "weights-failed")
    assert layout.refs_of(tmp_path / "hub", REPO) == {}
    hub.faults.clear()
    fetch(tmp_path, hub)
    assert layout.refs_of(tmp_path / "hub", REPO) == {"main": hub.commit}


def test_a_pinned_commit_writes_no_ref(tmp_path: Path, hub: FileHub) -> None:
    path, _ = fetch(tmp_path, hub, hub.commit)
    assert path.name == hub.commit
    assert layout.refs_of(tmp_path / "hub", REPO) == {}


def test_why_the_hub_refuses(tmp_path: Path, hub: FileHub) -> None:
    hub.token = "right"  # 401 for who has none
    refused(tmp_path, hub, "weights-no-repo")
    hub.gated = True
    _, fix = refused(tmp_path, hub, "weights-gated", MY_TOKEN="wrong")
    assert f"https://huggingface.co/{REPO}" in fix
    assert "MY_TOKEN" in fix
    fetch(tmp_path, hub, MY_TOKEN="right")
    refused(tmp_path, hub, "weights-no-revision", "nonsense", MY_TOKEN="right")


def test_a_repository_that_does_not_exist(tmp_path: Path) -> None:
    with FileHub("someone/else", {"config.json": b"{}"}) as hub:
        refused(tmp_path, hub, "weights-no-repo")


def test_a_limit_is_waited_for_as_long_as_the_hub_says(tmp_path: Path, hub: FileHub) -> None:
    hub.faults["api"] = [Fault(429, {"Retry-After": "2"})]
    hub.faults[ONE] = [Fault(429, {"Retry-After": "1"})]
    began_s = time.monotonic()
    path, seen = fetch(tmp_path, hub)
    assert time.monotonic() - began_s > 2.5
    assert (path / ONE).read_bytes() == hub.files[ONE]
    assert any("rate-limit" in text and "2 s" in text for text in seen.said)


def test_a_limit_that_lasts_is_told(tmp_path: Path, hub: FileHub) -> None:
    hub.faults["api"] = [Fault(429, {"Retry-After": "9999"})]
    began_s = time.monotonic()
    refused(tmp_path, hub, "weights-rate-limit")
    assert time.monotonic() - began_s < 600  # told, not waited for


def test_errors_of_the_hub_and_cut_connections_are_mended(tmp_path: Path, hub: FileHub) -> None:
    hub.faults["api"] = [Fault(503), Fault(500)]
    hub.faults[f"HEAD {ONE}"] = [Fault(502)]
    hub.faults[ONE] = [Fault(500), Fault(cut_after=100_000), Fault(cut_after=50_000)]
    path, _ = fetch(tmp_path, hub)
    assert (path / ONE).read_bytes() == hub.files[ONE]
    others = [name for name in hub.files if name != ONE]
    assert all(hub.sent[name] == len(hub.files[name]) for name in others), "a finished file was fetched twice"


def test_a_hub_that_only_fails(tmp_path: Path, hub: FileHub) -> None:
    hub.faults["api"] = [Fault(503)] * 50
    refused(tmp_path, hub, "weights-server-error")


def test_a_wrong_hash_is_fetched_once_more(tmp_path: Path, hub: FileHub) -> None:
    hub.faults[ONE] = [Fault(spoil=True)]
    path, seen = fetch(tmp_path, hub)
    assert (path / ONE).read_bytes() == hub.files[ONE]
    assert any("wrong hash" in text for text in seen.said)


def test_a_hash_that_stays_wrong_is_not_kept(tmp_path: Path, hub: FileHub) -> None:
    hub.faults[ONE] = [Fault(spoil=True)] * 9
    where, _ = refused(tmp_path, hub, "weights-wrong-hash")
    assert ONE in where
    assert not (tmp_path / "hub" / "models--deepseek-ai--DeepSeek-V4-Flash" / "blobs" / hub.blob(ONE)).exists()
    hub.faults.clear()
    path, _ = fetch(tmp_path, hub)
    assert (path / ONE).read_bytes() == hub.files[ONE]


def test_offline_needs_no_hub_when_all_is_here_and_says_so_when_not(tmp_path: Path, hub: FileHub) -> None:
    refused(tmp_path, hub, "weights-offline", HF_HUB_OFFLINE="1")
    fetch(tmp_path, hub)
    asked = len(hub.asked)
    path, seen = fetch(tmp_path, hub, HF_HUB_OFFLINE="1")
    assert path.name == hub.commit
    assert len(hub.asked) == asked
    assert any("offline" in text for text in seen.said)
    (path / ONE).unlink()
    refused(tmp_path, hub, "weights-offline", HF_HUB_OFFLINE="1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "small"
    (home / "hub").mkdir(parents=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", home / "hub"]).returncode:
        pytest.skip("a small disk needs root")
    yield home
    subprocess.run(["umount", home / "hub"], check=True)


def test_a_disk_without_room_is_told_before_the_first_byte(small_disk: Path, hub: FileHub) -> None:
    where, _ = refused(small_disk, hub, "weights-no-room")
    assert "1.5 MB are to come" in where
    assert sum(hub.sent.values()) == 0


def test_a_disk_that_becomes_full_keeps_what_is_whole(small_disk: Path) -> None:
    # The listing lies about the sizes, so that the room seems to be enough.
    with FileHub(REPO, shards(5, SMALL)) as hub:
        honest = hub.info
        hub.info = lambda: {**honest(), "siblings": [{**s, "size": 1, "lfs": None} for s in honest()["siblings"]]}  # type: ignore[method-assign]
        refused(small_disk, hub, "weights-no-space")
    blobs = list((small_disk / "hub").glob("models--*/blobs/*"))
    assert blobs
    assert not [path for path in blobs if path.name.endswith(".incomplete")]


def pulls(home: Path) -> list[int]:
    """Processes that pull into a home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [int(path.parent.name)] if f"HF_HOME={home}".encode() in path.read_bytes().split(b"\0") else []
    return found


def test_killed_in_the_middle_it_goes_on_with_what_is_not_finished(tmp_path: Path) -> None:
    with FileHub(REPO, shards(24, 1_500_000)) as hub:
        hub.hold_after(18_000_000)  # half of it
        blobs = tmp_path / "hub" / "models--deepseek-ai--DeepSeek-V4-Flash" / "blobs"
        child = subprocess.Popen(
            command("pull", "flash-b200"),
            env=environ(tmp_path, hub.url, HF_HOME=str(tmp_path)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: sum(not p.name.endswith(".incomplete") for p in blobs.glob("*")) > 4, "some files")
        child.send_signal(signal.SIGKILL)
        child.wait()
        until(lambda: pulls(tmp_path) == [], "the download ends with its parent")
        finished = [name for name in hub.files if (blobs / hub.blob(name)).exists()]
        assert 3 < len(finished) < len(hub.files)
        hub.let_go()
        path, _ = fetch(tmp_path, hub)
        for name, data in hub.files.items():
            assert (path / name).read_bytes() == data
        assert {name: hub.sent[name] for name in finished} == {name: len(hub.files[name]) for name in finished}
        assert not list(blobs.glob("*.incomplete")), "a half file was left"


def test_of_two_pulls_at_once_one_waits_and_nothing_is_fetched_twice(tmp_path: Path) -> None:
    with FileHub(REPO, shards(12, 1_000_000)) as hub:
        hub.hold_after(0)  # the first is not over before the second begins
        env = environ(tmp_path, hub.url, HF_HOME=str(tmp_path))
        said = [tmp_path / f"said-{n}" for n in range(2)]
        both = []
        for file in said:
            with file.open("w") as err:
                both.append(subprocess.Popen(command("pull", "flash-b200"), env=env, stdout=err, stderr=err))
        until(lambda: any("waiting for its end" in file.read_text() for file in said), "one waits for the other")
        hub.let_go()
        texts = [(child.wait(150), file.read_text()) for child, file in zip(both, said, strict=True)]
        assert [code for code, _ in texts] == [0, 0], texts
        assert sum("waiting for its end" in text for _, text in texts) == 1
        assert {name: hub.sent[name] for name in hub.files} == {name: len(data) for name, data in hub.files.items()}


def test_ctrl_c_ends_the_download_and_says_that_what_is_whole_stays(tmp_path: Path) -> None:
    with FileHub(REPO, shards(12, 1_500_000)) as hub:
        hub.hold_after(6_000_000)
        child = subprocess.Popen(
            command("pull"),
            env=environ(tmp_path, hub.url, HF_HOME=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: sum(hub.sent.values()) > 2_000_000, "some bytes")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=150)
        assert child.returncode == 130, err
        assert "is kept" in err
        until(lambda: pulls(tmp_path) == [], "no process of it is left")
