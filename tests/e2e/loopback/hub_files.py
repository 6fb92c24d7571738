"""A Hub on loopback that has files: listings with hashes, ranges, links of large files, and the faults of real ones."""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+?)(?:/(?P<kind>revision|tree)/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer: a status instead, a cut after so many bytes, or other bytes than promised."""

    status: int = 0
    headers: Mapping[str, str] | None = None
    cut_after: int = -1
    spoil: bool = False


def shards(count: int, size: int, fill: bytes = b"") -> dict[str, bytes]:
    """The layout of a checkpoint: config, tokenizer, index and so many shards."""
    names = [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]
    index = {
        "metadata": {"total_size": count * size},
        "weight_map": {f"layers.{n}": name for n, name in enumerate(names)},
    }
    files = {"config.json": b'{"model_type": "deepseek_v4"}', "tokenizer.json": b"{}"}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    for n, name in enumerate(names):
        files[name] = hashlib.shake_128(b"%d" % n).digest(min(size, 4096)).ljust(size, fill or b"%d" % (n % 10))
    return files


class FileHub:
    """One repository on one commit, which is also main. ``faults`` of a path (or of ``api``) are used up in order."""

    def __init__(self, repo: str, files: dict[str, bytes], *, rate: float = 0, delay_s: float = 0) -> None:
        self.repo, self.files = repo, files
        self.commit = hashlib.sha1(repr(sorted(files)).encode(), usedforsecurity=False).hexdigest()
        self.sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if _large(name)}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.sent: Counter[str] = Counter()
        self.asked: list[str] = []
        self.token = ""
        self.gated = False
        self.rate, self.delay_s = rate, delay_s
        self._lock = threading.Lock()
        self._next_s, self._most = 0.0, math.inf
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()

    def blob(self, name: str) -> str:
        """The name of a file's blob: git's for a small one, SHA-256 for a large one."""
        data = self.files[name]
        git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return self.sha256.get(name, git)

    def take(self, key: str) -> Fault | None:
        """The next fault of a path, if one is left."""
        with self._lock:
            return self.faults[key].pop(0) if self.faults[key] else None

    def listing(self) -> list[dict[str, Any]]:
        """Every file with size and hash, as the tree API has them."""
        found = []
        for name, data in self.files.items():
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": self.blob(name)[:40]}
            if name in self.sha256:
                entry["lfs"] = {"oid": self.sha256[name], "size": len(data), "pointerSize": 134}
            found.append(entry)
        return found

    def info(self) -> dict[str, Any]:
        """The model-info answer with `blobs=true`."""
        siblings = []
        for entry in self.listing():
            one = {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                lfs = entry["lfs"]
                one["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
            siblings.append(one)
        return {"_id": "1", "id": self.repo, "sha": self.commit, "private": False, "tags": [], "siblings": siblings}

    def hold_after(self, count: int) -> None:
        """Send no more than so many bytes of files in all, until `let_go`: a test decides when, not a clock."""
        self._most = count

    def let_go(self) -> None:
        """Send whatever is asked for."""
        self._most = math.inf

    def count(self, name: str, count: int) -> None:
        """Count what is about to be sent, before whoever asked can have it; wait while it is held back."""
        while True:
            with self._lock:
                if self.sent.total() + count <= self._most:
                    self.sent[name] += count
                    return
            time.sleep(0.02)

    def pace(self, count: int) -> None:
        """Hold the whole server to its rate in bytes a second."""
        if self.rate:
            with self._lock:
                now_s = time.monotonic()
                self._next_s = max(self._next_s, now_s) + count / self.rate
                wait_s = self._next_s - now_s
            time.sleep(wait_s)


def _large(name: str) -> bool:
    return name.endswith(".safetensors")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    hub: FileHub

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        api, file = _API.fullmatch(path), _FILE.fullmatch(path)
        key = "api" if api else (file["path"] if file else "")
        fault = hub.take(f"{self.command} {key}") or (hub.take(key) if self.command == "GET" else None)
        if fault and fault.status:
            self._reply(fault.status, b"{}", dict(fault.headers or {}))
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            code = "GatedRepo" if hub.gated else "RepoNotFound"
            self._reply(403 if hub.gated else 401, b"{}", {"X-Error-Code": code, "X-Error-Message": "No access"})
        elif api and api["repo"] == hub.repo:
            if (api["revision"] or "main") not in ("main", hub.commit):
                self._reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self._reply(200, json.dumps(hub.listing() if api["kind"] == "tree" else hub.info()).encode(), {})
        elif file and file["repo"] == hub.repo and file["path"] in hub.files:
            self._file(file["path"], fault)
        else:
            self._reply(404, b"{}", {"X-Error-Code": "EntryNotFound" if file else "RepoNotFound"})

    do_HEAD = do_GET

    def _file(self, name: str, fault: Fault | None) -> None:
        hub, data = self.hub, self.hub.files[name]
        if fault and fault.spoil:
            data = bytes([data[0] ^ 1]) + data[1:]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0] or 0)
        self.send_response(206 if start else 200)
        headers = {"ETag": f'"{hub.blob(name)}"', "X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        for key, value in {**headers, "Content-Length": str(len(data) - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(data) if not fault or fault.cut_after < 0 else min(len(data), start + fault.cut_after)
        view = memoryview(data)
        try:
            for at in range(start, end, _CHUNK):
                piece = view[at : min(at + _CHUNK, end)]
                hub.pace(len(piece))
                time.sleep(hub.delay_s)
                hub.count(name, len(piece))
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True
        if end < len(data):
            self.close_connection = True

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
