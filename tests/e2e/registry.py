"""A registry and a Hub on loopback, as much of them as a pull needs, with the faults that real ones have."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data: bytes) -> str:
    """A blob's name."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(size: int) -> tuple[bytes, str]:
    """A layer with one file that does not compress: its gzip, and the digest of the tar inside."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = size
        archive.addfile(info, io.BytesIO(os.urandom(size)))
    return gzip.compress(tar.getvalue(), 1), digest(tar.getvalue())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: dict[str, tuple[int, dict[str, str], bytes]]
    stall: set[str]
    over: threading.Event

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        status, headers, body = self.routes.get(path, (404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'))  # fmt: skip # noqa: E501
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0] or 0)
        self.send_response(206 if start and status == 200 else status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if path in self.stall:
            self.wfile.write(body[start : start + len(body) // 3])
            self.wfile.flush()
            self.over.wait(60)
            self.close_connection = True
            return
        for at in range(start, len(body), 1 << 20):
            self.wfile.write(body[at : at + (1 << 20)])
            time.sleep(0.02)

    do_HEAD = do_GET


@contextmanager
def served(routes: dict[str, tuple[int, dict[str, str], bytes]], stall: frozenset[str] = frozenset()) -> Iterator[int]:
    """Serve these paths on a loopback port; one of ``stall`` stops after a third of its body."""
    over = threading.Event()
    handler = type("Handler", (_Handler,), {"routes": routes, "stall": set(stall), "over": over})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def image(name: str, tag: str, size: int) -> tuple[dict[str, tuple[int, dict[str, str], bytes]], str]:
    """The routes of an image with one layer, and the path of that layer."""
    blob, inside = layer(size)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [inside]}}).encode()  # fmt: skip # noqa: E501
    parts = {"config": config, "layer": blob}
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest(config)},  # noqa: E501
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(blob), "digest": digest(blob)}],  # noqa: E501
    }).encode()  # fmt: skip
    routes = {
        f"/v2/{name}/blobs/{digest(part)}": (200, {"Content-Type": "application/octet-stream"}, part)
        for part in parts.values()
    }
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest(manifest)}
    routes["/v2/"] = (200, {}, b"{}")
    for reference in (tag, digest(manifest)):
        routes[f"/v2/{name}/manifests/{reference}"] = (200, headers, manifest)
    return routes, f"/v2/{name}/blobs/{digest(blob)}"


def model(repo: str, files: dict[str, bytes]) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """The routes of a model repository on the Hub, at one commit, which is also ``main``."""
    commit = hashlib.sha1(repo.encode(), usedforsecurity=False).hexdigest()
    siblings = [{"rfilename": name, "size": len(data), "blobId": "0"} for name, data in files.items()]
    tree = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files.items()]
    info = json.dumps({"_id": "1", "id": repo, "sha": commit, "private": False, "siblings": siblings, "tags": []})
    routes: dict[str, tuple[int, dict[str, str], bytes]] = {f"/api/models/{repo}": (200, {}, info.encode())}
    for revision in ("main", commit):
        routes[f"/api/models/{repo}/revision/{revision}"] = (200, {}, info.encode())
        routes[f"/api/models/{repo}/tree/{revision}"] = (200, {}, json.dumps(tree).encode())
        for name, data in files.items():
            headers = {"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"', "X-Repo-Commit": commit}
            routes[f"/{repo}/resolve/{revision}/{name}"] = (200, {**headers, "Accept-Ranges": "bytes"}, data)
    return routes
