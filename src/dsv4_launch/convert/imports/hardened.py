"""The words of a hardened container, as one field of the config."""

from __future__ import annotations

from dsv4_launch.convert.imports.imported import Draft
from dsv4_launch.plan.hardened import OPTIONS


def hardened(draft: Draft) -> None:
    """The words of ``container.hardened``, when all of them are there, become that field."""
    words = list(draft.data["container"].get("options", ()))
    if set(OPTIONS) <= set(words):
        rest = [word for word in words if word not in OPTIONS]
        draft.data["container"]["hardened"] = True
        draft.data["container"].pop("options")
        if rest:
            draft.data["container"]["options"] = rest
