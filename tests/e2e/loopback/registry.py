"""A container registry's manifests API (https://distribution.github.io/distribution/spec/api/), for reading digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile

from e2e.loopback.server import Asked, Loopback, Reply

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<ref>[^/]+)")
_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_ONE = "application/vnd.docker.distribution.manifest.v2+json"
_BLOB = re.compile(r"/v2/.+/blobs/(?P<digest>sha256:[0-9a-f]{64})")


def manifest_list(seed: str) -> bytes:
    """An image for two architectures, as the official one is; another seed gives another digest."""
    entries = [
        {
            "mediaType": _ONE,
            "size": 500,
            "digest": "sha256:" + hashlib.sha256(f"{seed} {arch}".encode()).hexdigest(),
            "platform": {"architecture": arch, "os": "linux"},
        }
        for arch in ("amd64", "arm64")
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": _LIST, "manifests": entries}).encode()


def digest_of(manifest: bytes) -> str:
    """The digest that a registry gives a manifest."""
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def tiny_image(name: str) -> tuple[bytes, list[bytes]]:
    """An image that can be pulled: its manifest and its blobs. It holds one file with the name."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    layer = gzip.compress(unpacked.getvalue(), mtime=0)
    rootfs = {"type": "layers", "diff_ids": [digest_of(unpacked.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    kinds = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    about, only = (
        {"mediaType": kind, "size": len(blob), "digest": digest_of(blob)}
        for kind, blob in zip(kinds, (config, layer), strict=True)
    )
    manifest = {"schemaVersion": 2, "mediaType": _ONE, "config": about, "layers": [only]}
    return json.dumps(manifest).encode(), [config, layer]


class Registry(Loopback):
    """A registry with one manifest for each ``name:tag``, also found by its digest, and the blobs in ``blobs``."""

    def __init__(self, images: dict[str, bytes]) -> None:
        super().__init__()
        self.images = images
        self.blobs: list[bytes] = []

    def reply(self, asked: Asked) -> Reply:
        """As https://registry-1.docker.io answers one who is let in."""
        version = {"Docker-Distribution-Api-Version": "registry/2.0"}
        if asked.path in ("/v2/", "/v2"):
            return Reply(body=b"{}", headers=version)
        wanted = _BLOB.fullmatch(asked.path)
        for blob in self.blobs if wanted else ():
            if digest_of(blob) == wanted["digest"]:
                return Reply(body=blob, headers={**version, "Content-Type": "application/octet-stream"})
        found = _MANIFEST.fullmatch(asked.path)
        manifest = self._find(found["name"], found["ref"]) if found else None
        if manifest is None:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {}}]}
            return Reply(404, json.dumps(error).encode(), version)
        headers = {
            **version,
            "Content-Type": json.loads(manifest)["mediaType"],
            "Docker-Content-Digest": digest_of(manifest),
        }
        return Reply(body=manifest, headers=headers)

    def _find(self, name: str, ref: str) -> bytes | None:
        if not ref.startswith("sha256:"):
            return self.images.get(f"{name}:{ref}")
        ours = (manifest for image, manifest in self.images.items() if image.rpartition(":")[0] == name)
        return next((manifest for manifest in ours if digest_of(manifest) == ref), None)
