"""The words of ``docker run`` behind ``container.hardened``: what a server that is broken into can no longer do."""

from __future__ import annotations

# The server runs as root without capabilities; DAC_OVERRIDE alone lets it use the folders that you mount, which belong
# to whoever launches. https://docs.docker.com/engine/security/#linux-kernel-capabilities
# Where vLLM and its libraries write outside of the mounts, besides /tmp: usage data (~/.config/vllm), library caches
# (~/.cache), Triton's and the CUDA driver's folders, where their variables do not move them. Inductor and Triton load
# code that they compiled, hence exec. https://docs.docker.com/engine/storage/tmpfs/
# The folders of TileLang (~/.tilelang) and Humming (~/.humming) too, without container.caches.
_WRITTEN = (
    *("/tmp", "/run"),  # noqa: S108 - in the container
    *(f"/root/.{name}" for name in ("cache", "config", "triton", "nv", "tilelang", "humming")),
)
OPTIONS: tuple[str, ...] = (
    "--security-opt=no-new-privileges",
    "--cap-drop=ALL",
    "--cap-add=DAC_OVERRIDE",
    "--read-only",
    *(f"--tmpfs={folder}:rw,exec,nosuid,nodev" for folder in _WRITTEN),
)
