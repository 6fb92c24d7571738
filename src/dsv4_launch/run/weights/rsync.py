"""A Hub cache on another node, reached by rsync: over ssh, or an rsync daemon."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from dsv4_launch.errors import Problem, ToolError, WeightsError
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.failures import RESUME, failure
from dsv4_launch.run.weights.hash import blob_of

LOOK_S: Final = 60.0
# No question can be answered here: a key that is not there, or an unknown host, must fail at once.
_SSH: Final = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
_LINE: Final = re.compile(r"-\S+\s+([\d,.]+)\s+\S+\s+\S+\s+(\S+)")


class RsyncSource:
    """The model's folder, wherever below the source a Hub cache may have it."""

    def __init__(self, root: str, repo: str, environ: Mapping[str, str]) -> None:
        self._root, self._repo = root.rstrip("/"), repo
        self._env = {**environ, "RSYNC_RSH": environ.get("RSYNC_RSH") or _SSH, "LC_ALL": "C"}
        self._found = ""

    def refs(self) -> Mapping[str, str]:
        """Branches and tags with their commits. Raises WeightsError (model not there, unreachable) or ToolError."""
        with tempfile.TemporaryDirectory() as folder:
            there = layout.repo_folder(folder, self._repo)
            self._run("-r", f"{self._folder()}/refs", f"{there}/", missing_is_fine=True)
            return layout.refs_of(folder, self._repo)

    def links(self, commit: str) -> Mapping[str, str]:
        """The snapshot's files, each with its blob's name."""
        with tempfile.TemporaryDirectory() as folder:
            self._run("-rl", f"{self._folder()}/snapshots/{commit}/", f"{folder}/", missing_is_fine=True)
            found = (path for path in sorted(Path(folder).rglob("*")) if path.is_symlink() or path.is_file())
            return {path.relative_to(folder).as_posix(): blob_of(path) for path in found}

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each blob."""
        out = self._run("--list-only", "-L", "--no-human-readable", f"{self._folder()}/blobs/")
        found = (_LINE.match(line) for line in out.splitlines())
        return {one[2]: int(re.sub(r"\D", "", one[1])) for one in found if one}

    def tree(self, commit: str) -> bytes:
        """huggingface_hub's list of the commit's files; empty when there is none."""
        with tempfile.TemporaryDirectory() as folder:
            self._run(f"{self._folder()}/trees/{commit}.json", f"{folder}/tree", missing_is_fine=True)
            path = Path(folder) / "tree"
            return path.read_bytes() if path.is_file() else b""

    def copy(self, blobs: Sequence[str], to: Path, stop: Callable[[], bool]) -> None:
        """Copy, from where a half copy ends: the hash tells afterwards whether it fitted. Raises WeightsError."""
        sources = [f"{self._folder()}/blobs/{blob}" for blob in blobs]
        # -L: a blob may be a link into the store that models share.
        with self._start("-L", "--inplace", "--append", *sources, f"{to}/") as child:
            try:
                while True:
                    try:
                        _, said = child.communicate(timeout=0.5)
                        break
                    except subprocess.TimeoutExpired:
                        if stop():
                            raise failure("failed", self._repo, said="stopped") from None
            except BaseException:
                child.terminate()
                raise
        if child.returncode:
            raise self._failed(child.returncode, said)

    def _folder(self) -> str:
        if not self._found:
            name = layout.repo_folder("", self._repo).name
            below = [f"{self._root}/{name}", f"{self._root}/hub/{name}"]
            places = [self._root] if self._root.endswith(f"/{name}") else below
            self._found = next((p for p in places if self._run("--list-only", f"{p}/", missing_is_fine=True)), "")
        if not self._found:
            raise WeightsError(
                f"{self._root} holds no Hub cache with {self._repo}.",
                where=self._root,
                fix="Name the Hub cache or HF_HOME of that node, such as user@node:.cache/huggingface",
                code="weights-source-empty",
            )
        return self._found

    def _run(self, *words: str, missing_is_fine: bool = False) -> str:
        with self._start(*words) as child:
            try:
                out, said = child.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                child.terminate()
                raise failure(
                    "unreachable", self._repo, said=f"{self._root} gave no answer in {LOOK_S:.0f} s"
                ) from None
        if child.returncode == 23 and missing_is_fine:
            return ""
        if child.returncode:
            raise self._failed(child.returncode, said)
        return str(out)

    def _start(self, *words: str) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                ["rsync", "--protect-args", *words],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except FileNotFoundError:
            raise ToolError(
                "rsync is not installed here.",
                where="PATH",
                fix="`apt-get install rsync`, on both nodes.",
                code="rsync",
            ) from None

    def _failed(self, code: int, said: str) -> WeightsError:
        """Codes are those of rsync(1), 255 that of ssh."""
        last = next((line for line in said.splitlines() if line.strip()), f"rsync ended with code {code}")[:300]
        if "No space left" in said or code == 11:
            return failure("no-space", self._repo, said=last)
        fix = f"See that `rsync --list-only {self._root}/` works without a question. {RESUME}"
        return WeightsError(Problem("weights-source", f"Copying from {self._root} failed.", last, fix))
