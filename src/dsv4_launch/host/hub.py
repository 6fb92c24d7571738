"""The Hugging Face cache and whether a token is there, without the network and without reading the token."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dsv4_launch.facts import Hub, Request, Snapshot
from dsv4_launch.host.looking import CouldNotLook, Note, spell

MAX_INDEX_BYTES = 64 * 1024 * 1024
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# What vLLM asks for besides weights; a checkpoint has one of the tokenizer files at least.
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")


def read_hub(request: Request, note: Note, env: Mapping[str, str] | None = None) -> Hub:
    """Token presence and the asked snapshots."""
    known = os.environ if env is None else env
    home = Path(known.get("HF_HOME") or Path(known.get("HOME") or Path.home()) / ".cache" / "huggingface")
    cache = request.hub_cache or known.get("HF_HUB_CACHE") or known.get("HUGGINGFACE_HUB_CACHE") or str(home / "hub")
    source = _token_source(request.token_env, known, home)
    snapshots: dict[str, Snapshot | None] = {}
    for repo, revision in request.repos:
        key = repo if revision is None else f"{repo}@{revision}"
        try:
            snapshots[key] = read_snapshot(cache, repo, revision)
        except CouldNotLook as error:
            note(f"hub.snapshots.{key}", str(error))
        except Exception as error:
            note(f"hub.snapshots.{key}", spell(error))
    return Hub(
        cache_dir=cache,
        token_present=source is not None,
        token_source=source,
        offline=(known.get("HF_HUB_OFFLINE") or "").upper() in ("1", "ON", "YES", "TRUE"),
        endpoint=without_password(known.get("HF_ENDPOINT")),
        snapshots=snapshots,
    )


def read_snapshot(cache: str, repo: str, revision: str | None) -> Snapshot | None:
    """What the cache holds of a repo at a revision (None: main), or None when it holds nothing.

    A blob gets its final name only when it is whole, so a file that is there is complete; which files must be there
    says the checkpoint's own index.

    Errors: CouldNotLook for an index that cannot be read.
    """
    from huggingface_hub import try_to_load_from_cache

    def cached(name: str) -> Path | None:
        found = try_to_load_from_cache(repo, name, cache_dir=cache, revision=revision)
        return Path(found) if isinstance(found, str) and Path(found).exists() else None

    config = cached("config.json")
    index = cached(INDEX)
    anchor = config or index or cached(SINGLE)
    if anchor is None:
        return None
    names, declared = ((SINGLE,), 0) if index is None else _index(index)
    files = {name: cached(name) for name in dict.fromkeys(("config.json", *names))}
    missing = [name for name, path in files.items() if path is None]
    if not any(cached(name) for name in TOKENIZERS):
        missing.append(TOKENIZERS[0])
    weights = sum(path.stat().st_size for name in names if (path := files[name]) is not None)
    if not missing and weights < declared:
        missing.append(f"{declared - weights} bytes of weights")
    size = sum(item.stat().st_size for item in anchor.parent.rglob("*") if item.is_file())
    return Snapshot(revision=anchor.parent.name, size_bytes=size, complete=not missing, missing=tuple(missing[:100]))


def _index(path: Path) -> tuple[tuple[str, ...], int]:
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise CouldNotLook(f"{path} is larger than an index can be")
    try:
        data = json.loads(path.read_text())
        names = tuple(sorted({str(name) for name in data["weight_map"].values()}))
        declared = (data.get("metadata") or {}).get("total_size", 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CouldNotLook(f"{path} is not an index of weights") from error
    return names, declared if isinstance(declared, int) else 0


def _token_source(name: str | None, env: Mapping[str, str], home: Path) -> Literal["environment", "file"] | None:
    names = (name,) if name else ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    if any(env.get(item, "").strip() for item in names):
        return "environment"
    path = Path(env.get("HF_TOKEN_PATH") or home / "token")
    try:
        return "file" if path.is_file() and path.stat().st_size > 0 else None
    except OSError:
        return None


def without_password(url: str | None) -> str | None:
    """A URL without user and password; one without a scheme too."""
    if not url:
        return None
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url.rpartition("@")[2]
