"""Caches: told by image and GPU type, and removed only where nobody uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.errors import HostError
from dsv4_launch.plan.binds import cache_key
from dsv4_launch.run.caches import folders, remove


def fill(root: Path) -> None:
    for name in ("vllm-openai-v0.20.0-b200", "vllm-openai-v0.33.0-h200", "strange"):
        (root / name / "vllm").mkdir(parents=True)
        (root / name / "vllm/kernel").write_bytes(b"x" * 10_000)
    (root / "a-file").write_text("")


def test_each_says_whose_it_is(tmp_path: Path) -> None:
    fill(tmp_path)
    found = {one.name: one for one in folders(tmp_path, {"vllm-openai-v0.33.0-h200"})}
    assert set(found) == {"vllm-openai-v0.20.0-b200", "vllm-openai-v0.33.0-h200", "strange"}
    b200 = found["vllm-openai-v0.20.0-b200"]
    assert (b200.image, b200.gpu, b200.in_use) == ("vllm-openai-v0.20.0", "b200", False)
    assert b200.bytes >= 10_000
    assert found["vllm-openai-v0.33.0-h200"].in_use
    assert found["strange"].gpu == ""
    assert folders(tmp_path / "none", ()) == ()


def test_only_what_nobody_uses_is_removed_and_links_lead_nowhere(tmp_path: Path) -> None:
    root, weights = tmp_path / "caches", tmp_path / "weights"
    fill(root)
    weights.mkdir()
    (weights / "model.safetensors").write_text("precious")
    (root / "strange" / "link").symlink_to(weights)
    (root / "linked-b200").symlink_to(weights)
    found = {one.name: one for one in folders(root, {"vllm-openai-v0.33.0-h200"})}
    assert "linked-b200" not in found
    with pytest.raises(HostError):
        remove(root, found["vllm-openai-v0.33.0-h200"])
    remove(root, found["strange"])
    assert not (root / "strange").exists()
    assert (weights / "model.safetensors").read_text() == "precious"
    assert (root / "vllm-openai-v0.33.0-h200/vllm/kernel").exists()


def test_no_two_images_share_a_cache() -> None:
    images = [
        "vllm/vllm-openai:v0.20.0", "vllm/vllm-openai:v0.20.0-cu129", "mine/vllm-openai:v0.20.0",
        "registry.example.org/vllm/vllm-openai:v0.20.0", "vllm-openai:v0.20.0",
        "foo:1-b", "foo-1:b", "foo_1:b", "vllm/vllm-openai-v0:20.0", "vllm/vllm-openai:v0.20.0_cu129",
        "vllm/vllm-openai@sha256:" + "a" * 64, "vllm/vllm-openai@sha256:" + "b" * 64,
    ]  # fmt: skip
    assert len({cache_key(image) for image in images}) == len(images)
    assert cache_key(images[0]) == "vllm-openai-v0.20.0"
