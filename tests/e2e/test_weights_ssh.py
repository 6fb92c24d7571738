"""Weights from another node over a real ssh: a server on loopback, a throwaway key, and a line that can be cut."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.conftest import until
from e2e.loopback.hub_files import FileHub, shards
from e2e.ports import free_port
from e2e.test_weights_source import FOLDER, ONE, REPO, data_of, dsv4, same, works_offline

SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SIZE = 3_000_000

# What ssh speaks through: it counts what the server sends, and hangs up after so many bytes where a file says so.
LINE = """import os, select, socket, sys
port, folder = int(sys.argv[1]), sys.argv[2]
server, seen = socket.create_connection(("127.0.0.1", port)), 0
limit = int(open(f"{folder}/cut").read()) if os.path.exists(f"{folder}/cut") else 0
while True:
    for ready in select.select([0, server], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else server.recv(65536)
        if not data or (limit and seen > limit):
            sys.exit()
        if ready == 0:
            server.sendall(data)
            continue
        seen += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(1, view):]
        with open(f"{folder}/seen", "a") as file:
            file.write(f"{len(data)}\\n")
"""


@dataclass
class Far:
    """A node that is reached by ssh under the name node7."""

    folder: Path
    env: dict[str, str]

    def cut_after(self, count: int | None) -> None:
        """Have each connection hang up after so many bytes, or none."""
        cut = self.folder / "cut"
        cut.unlink(missing_ok=True)
        if count:
            cut.write_text(str(count))

    def carried(self) -> int:
        """Bytes that came from the node since this was last asked."""
        seen = self.folder / "seen"
        found = sum(map(int, seen.read_text().split())) if seen.exists() else 0
        seen.unlink(missing_ok=True)
        return found


@pytest.fixture(scope="module")
def hub() -> Iterator[FileHub]:
    with FileHub(REPO, shards(6, SIZE)) as made:
        yield made


@pytest.fixture(scope="module")
def origin(hub: FileHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HF_HOME of the node."""
    home = tmp_path_factory.mktemp("origin")
    data_of(dsv4(home, "pull", "--output", "json", url=hub.url))
    return home


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    sshd = shutil.which("sshd", path=SBIN)
    if sshd is None or shutil.which("rsync") is None:
        pytest.skip("no ssh server or rsync here; `scripts/rig up` installs them")
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\n"
        f"PidFile none\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
    )
    (folder / "known").write_text(f"node7 {(folder / 'host.pub').read_text()}")
    (folder / "line.py").write_text(LINE)
    (folder / "ssh_config").write_text(
        f"Host node7\n HostKeyAlias node7\nHost stranger\n HostKeyAlias stranger\n"
        f"Host *\n HostName 127.0.0.1\n IdentityFile {folder}/key\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile none\n"
        f" ProxyCommand {sys.executable} -IS {folder}/line.py {port} {folder}\n"
    )
    # The words that dsv4 gives to ssh are tried as they are; only the configuration is ours.
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    made = Far(folder, {"PATH": f"{folder}/bin:{os.environ['PATH']}"})
    try:
        look = ["ssh", "-o", "BatchMode=yes", "node7", "true"]
        known = os.environ | made.env
        until(lambda: subprocess.run(look, env=known, capture_output=True).returncode == 0, "the ssh server")
        yield made
    finally:
        server.terminate()
        server.wait()


def test_from_a_node_by_ssh(far: Far, origin: Path, hub: FileHub, tmp_path: Path) -> None:
    words = ("pull", "--source", f"{getpass.getuser()}@node7:{origin}", "--output", "json")
    assert data_of(dsv4(tmp_path, *words, **far.env))["commit"] == hub.commit
    assert same(tmp_path, hub)
    assert works_offline(tmp_path)
    far.carried()
    again = dsv4(tmp_path, *words, **far.env)
    assert "0 B to copy" in again.stderr
    assert far.carried() < SIZE / 10


def test_a_line_that_is_cut_is_told_and_taken_up_where_it_ended(
    far: Far, origin: Path, hub: FileHub, tmp_path: Path
) -> None:
    source = f"node7:{origin}"
    far.cut_after(SIZE // 2)
    cut = dsv4(tmp_path, "pull", "--source", source, **far.env)
    assert cut.returncode == 9, cut.stderr
    assert f"Copying from {source} failed" in cut.stderr
    staged = list((tmp_path / "hub/.locks" / FOLDER / "dsv4-staging").iterdir())
    here = sum(path.stat().st_size for path in staged)
    assert here > SIZE // 4
    far.cut_after(None)
    far.carried()
    done = dsv4(tmp_path, "pull", "--source", source, **far.env)
    assert done.returncode == 0, done.stderr
    assert same(tmp_path, hub)
    there = sum(len(data) for data in hub.files.values())
    assert far.carried() < there - here * 0.8


def test_a_broken_file_of_a_node_is_not_kept(far: Far, origin: Path, hub: FileHub, tmp_path: Path) -> None:
    bad, home = tmp_path / "bad", tmp_path / "home"
    shutil.copytree(origin, bad, symlinks=True)
    blob = bad / "hub" / FOLDER / "blobs" / hub.blob(ONE)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    done = dsv4(home, "pull", "--source", f"node7:{bad}", **far.env)
    assert done.returncode == 9
    assert f"{ONE} has a wrong hash at its source" in done.stderr
    assert not (home / "hub" / FOLDER / "blobs" / hub.blob(ONE)).exists()


def test_a_host_that_nobody_knows_is_refused_without_a_question(far: Far, origin: Path, tmp_path: Path) -> None:
    done = dsv4(tmp_path, "pull", "--source", f"stranger:{origin}", **far.env)
    assert done.returncode == 9
    assert "Host key verification failed" in done.stderr
    assert "rsync --list-only" in done.stderr
