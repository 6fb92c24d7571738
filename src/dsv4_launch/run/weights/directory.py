"""A Hub cache in a folder of this machine: a shared mount, a disk that was carried here."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dsv4_launch.errors import WeightsError
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.failures import failure
from dsv4_launch.run.weights.hash import blob_of

_CHUNK: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """The model's folder, wherever in ``root`` a Hub cache may have it."""

    root: Path
    repo: str

    def refs(self) -> Mapping[str, str]:
        """Branches and tags with their commits. Raises WeightsError when the model is not there."""
        return layout.refs_of(self._folder().parent, self.repo)

    def links(self, commit: str) -> Mapping[str, str]:
        """The snapshot's files, each with its blob's name."""
        snapshot = self._folder() / "snapshots" / commit
        found = (path for path in sorted(snapshot.rglob("*")) if path.is_symlink() or path.is_file())
        return {path.relative_to(snapshot).as_posix(): blob_of(path) for path in found}

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each blob."""
        blobs = (path for path in (self._folder() / "blobs").glob("*") if path.is_file())
        return {path.name: path.stat().st_size for path in blobs}

    def tree(self, commit: str) -> bytes:
        """huggingface_hub's list of the commit's files; empty when there is none."""
        try:
            return (self._folder() / "trees" / f"{commit}.json").read_bytes()
        except OSError:
            return b""

    def copy(self, blobs: Sequence[str], to: Path, stop: Callable[[], bool]) -> None:
        """Copy, from where a half copy ends. Raises WeightsError: it cannot be read, or the disk is full."""
        for blob in blobs:
            source = self._folder() / "blobs" / blob
            try:
                with source.open("rb", buffering=0) as file, (to / blob).open("ab", buffering=0) as out:
                    if out.tell() > source.stat().st_size:
                        out.truncate(0)
                    file.seek(out.tell())
                    while not stop() and (data := file.read(_CHUNK)):
                        view = memoryview(data)
                        while view:
                            view = view[out.write(view) :]
            except OSError as error:
                kind = "no-space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "failed"
                raise failure(kind, self.repo, said=f"{source}: {error.strerror}") from None

    def _folder(self) -> Path:
        name = layout.repo_folder("", self.repo).name
        places = (self.root / name, self.root / "hub" / name, *([self.root] if self.root.name == name else []))
        found = next((place for place in places if (place / "snapshots").is_dir()), None)
        if found is None:
            raise WeightsError(
                f"{self.root} holds no Hub cache with {self.repo}.",
                where=str(self.root),
                fix="Name a Hub cache or HF_HOME. A folder of plain files is served as it is: `--set model.path=DIR`.",
                code="weights-source-empty",
            )
        return found
