"""The Hub's model-info API: `GET /api/models/{owner}/{name}[/revision/{revision}]`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from e2e.loopback.server import Asked, Loopback, Reply

_MODEL = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)(/revision/(?P<revision>[^?]+))?(\?.*)?")


@dataclass
class HubModel:
    """A repository: the commit of each branch or tag; commits answer for themselves. ``token``: who may see it."""

    revisions: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    token: str = ""


class Hub(Loopback):
    """A Hub with the repositories in ``models``."""

    def __init__(self, models: dict[str, HubModel]) -> None:
        super().__init__()
        self.models = models

    def reply(self, asked: Asked) -> Reply:
        """As https://huggingface.co answers: errors carry their kind in a header."""
        found = _MODEL.fullmatch(asked.path)
        model = self.models.get(found["repo"]) if found else None
        if found is None or model is None:
            return _error(401, "RepoNotFound", "Invalid username or password.")
        if model.token and asked.headers.get("authorization") != f"Bearer {model.token}":
            return _error(403 if model.gated else 401, "GatedRepo" if model.gated else "RepoNotFound", "No access")
        revision = unquote(found["revision"] or "main")
        commit = revision if revision in model.revisions.values() else model.revisions.get(revision)
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        body = {"_id": "1", "id": found["repo"], "modelId": found["repo"], "sha": commit, "siblings": [], "tags": []}
        return Reply(body=json.dumps(body).encode())


def _error(status: int, code: str, message: str) -> Reply:
    body = json.dumps({"error": message}).encode()
    return Reply(status, body, {"X-Error-Code": code, "X-Error-Message": message})
