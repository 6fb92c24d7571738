#!/usr/bin/env python3
"""Write the constructed hosts that ship with the package: a good node, and one for each common fault.

Run it after a change of the facts; a test sees that the files are what this makes. None of them was recorded: memory
and names are as published, disks and versions plausible. A recorded host (`dsv4 doctor --save`) has its own origin.
"""

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "src/dsv4_launch/catalog/data/hosts"
IMAGE = "vllm/vllm-openai:v0.20.0"
Facts = dict[str, Any]

REQUIRE = (
    "cuda>=13.0 brand=unknown,driver>=535,driver<536 brand=grid,driver>=535,driver<536"
    " brand=tesla,driver>=535,driver<536 brand=nvidia,driver>=535,driver<536"
    " brand=tesla,driver>=550,driver<551 brand=tesla,driver>=570,driver<571"
)


def gpu(index: int, count: int, name: str, memory_mib: int, capability: str, nvlinks: int, switched: bool) -> Facts:
    """One idle, healthy GPU of a node of `count`."""
    return {
        "index": index,
        "name": name,
        "uuid": f"GPU-00000000-0000-4000-8000-{index:012d}",
        "memory_total_mib": memory_mib,
        "memory_free_mib": memory_mib - 727,
        "compute_capability": capability,
        "mig_mode": "disabled",
        "processes": [],
        "persistence_mode": True,
        "fabric_state": "completed" if switched else "not supported",
        "fabric_status": None,
        "pci_bus_id": f"0000:{0x1B + 0x10 * index:02x}:00.0",
        "numa_nodes": [0 if index < (count + 1) // 2 else 1],
        "ecc_mode": "enabled",
        "ecc_uncorrected": 0,
        "row_remap": {"supported": True, "correctable": 0, "uncorrectable": 0, "pending": False, "failed": False},
        "throttled": [],
        "nvlinks": {"active": nvlinks, "inactive": 0},
        "peers": {str(other): "nvlink" if nvlinks else "pcie" for other in range(count) if other != index},
    }


def node(name: str, memory_mib: int, capability: str, *, nvlinks: int = 18, count: int = 8) -> list[Facts]:
    """The GPUs of a node."""
    return [gpu(index, count, name, memory_mib, capability, nvlinks, switched=nvlinks > 0) for index in range(count)]


def disk(path: str, point: str = "/", kind: str = "ext4", total_gb: int = 3840, free_gb: int = 2000) -> Facts:
    """A file system under a path."""
    return {
        "path": path,
        "exists": True,
        "looked_at": path,
        "mount_point": point,
        "fs_type": kind,
        "total_bytes": total_gb * 10**9,
        "free_bytes": free_gb * 10**9,
        "writable": True,
    }


def good() -> Facts:
    """A good HGX B200 node on which nothing runs yet."""
    return {
        "schema_version": 1,
        "origin": "constructed",
        "note": "A good HGX B200 node, constructed by hand: memory as published, the rest plausible, nothing recorded.",
        "gpus": node("NVIDIA B200", 183359, "10.0"),
        "driver": {"version": "580.95.05", "cuda_version": "13.0"},
        "fabric_manager": {"installed": True, "version": "580.95.05", "running": True, "nvlsm_running": True},
        "kernel": {
            "modules": {"nvidia": True, "nvidia_uvm": True, "nvidia_peermem": True, "mlx5_ib": True, "ib_umad": True},
            "errors": [],
            "complete": True,
        },
        "docker": {
            "cli_path": "/usr/bin/docker",
            "context": "default",
            "endpoint": "unix:///var/run/docker.sock",
            "engine": "ready",
            "server_version": "28.2.2",
            "api_version": "1.50",
            "runtimes": ["io.containerd.runc.v2", "nvidia", "runc"],
            "default_runtime": "runc",
            "cdi_spec_dirs": ["/etc/cdi", "/var/run/cdi"],
            "cdi_devices": [],
            "gpu_hook_path": "/usr/bin/nvidia-container-runtime-hook",
            "data_root": "/var/lib/docker",
            "storage_driver": "overlay2",
            "cgroup_version": "2",
            "cgroup_driver": "systemd",
            "toolkit_version": "1.18.0",
            "gpu_device_links": True,
            "default_ulimits": {"nofile": 1048576, "memlock": 8388608},
            "images": {
                IMAGE: {
                    "id": "sha256:constructed",
                    "size_bytes": 25000000000,
                    "architecture": "amd64",
                    "env": {"CUDA_VERSION": "13.0.1", "NVIDIA_REQUIRE_CUDA": REQUIRE},
                    "repo_digests": [],
                }
            },
            "containers": {"flash-b200": None},
            "published": {},
        },
        "disks": {
            "weights": disk("/root/.cache/huggingface/hub"),
            "caches": disk("/root/.cache/dsv4/caches/x"),
            "docker": disk("/var/lib/docker"),
        },
        "ports": {"127.0.0.1:8000": {"free": True}},
        "mounts": [
            {"mount_point": "/", "fs_type": "ext4", "total_bytes": 3840 * 10**9, "free_bytes": 2000 * 10**9},
        ],
        "system": {
            "os": "Ubuntu 24.04.1 LTS",
            "kernel": "6.8.0-60-generic",
            "architecture": "x86_64",
            "cpu_model": "constructed",
            "cpu_count": 224,
            "cpu_flags": ["avx2", "avx512f"],
            "memory_total_bytes": 2199023255552,
            "memory_available_bytes": 2136746229760,
            "shm_total_bytes": 1099511627776,
            "shm_free_bytes": 1099511627776,
            "numa_nodes": 2,
            "limits": {"nofile_soft": 1024, "nofile_hard": 1048576, "memlock_hard_bytes": 8388608},
        },
        "hub": {
            "cache_dir": "/root/.cache/huggingface/hub",
            "token_present": True,
            "token_source": "environment",
            "offline": False,
            "snapshots": {"deepseek-ai/DeepSeek-V4-Flash": None},
        },
        "variables": {},
    }


def changed(note: str, **parts: Any) -> Facts:
    """The good node with whole parts replaced."""
    facts = {**copy.deepcopy(good()), **parts}
    facts["note"] = f"{note} Constructed from the good node, nothing recorded."
    return facts


def _each_gpu(**fields: Any) -> list[Facts]:
    return [{**one, **fields} for one in good()["gpus"]]


def _busy() -> list[Facts]:
    gpus = good()["gpus"]
    for one in gpus[:4]:
        one["processes"] = [{"pid": 4700 + one["index"], "name": "python3", "used_mib": 163840}]
        one["memory_free_mib"] = 18000
    return gpus


def hosts() -> dict[str, Facts]:
    """Every host by its name."""
    base = good()
    manager = base["fabric_manager"]
    full = [
        {"mount_point": "/data", "fs_type": "xfs", "total_bytes": 15 * 10**12, "free_bytes": 14 * 10**12},
        {"mount_point": "/", "fs_type": "ext4", "total_bytes": 120 * 10**9, "free_bytes": 30 * 10**9},
    ]
    small = {purpose: disk(d["path"], total_gb=120, free_gb=30) for purpose, d in base["disks"].items()}
    nfs = {**base["disks"]} | {
        purpose: disk(base["disks"][purpose]["path"], "/root/.cache", "nfs4", 100000, 60000)
        for purpose in ("weights", "caches")
    }
    toolkit = {"runtimes": ["io.containerd.runc.v2", "runc"], "gpu_hook_path": None, "toolkit_version": ""}
    waiting = _each_gpu(fabric_state="in progress")
    absent = {"installed": False, "version": None, "running": False, "nvlsm_running": False}
    plain = {"modules": {**base["kernel"]["modules"], "ib_umad": False}, "errors": [], "complete": True}
    return {
        "hgx-b200": base,
        "hgx-b200-4-busy": changed("Another server holds GPUs 0 to 3 of an HGX B200 node.", gpus=_busy()),
        "hgx-b200-fabric-down": changed(
            "Fabric Manager does not run on an HGX B200 node: nvidia-smi looks well, CUDA fails with error 802.",
            gpus=waiting,
            fabric_manager={**manager, "running": False, "nvlsm_running": False},
        ),
        "hgx-b200-fabric-mismatch": changed(
            "The driver of an HGX B200 node was upgraded, Fabric Manager was not.",
            gpus=waiting,
            fabric_manager={**manager, "version": "580.65.06", "running": False},
        ),
        "hgx-b200-no-toolkit": changed(
            "An HGX B200 node without the NVIDIA container toolkit.", docker={**base["docker"], **toolkit}
        ),
        "b200-3-gpus": changed("A node that shows three B200s.", gpus=node("NVIDIA B200", 183359, "10.0", count=3)),
        "hgx-h100": changed("A good HGX H100 node.", gpus=node("NVIDIA H100 80GB HBM3", 81559, "9.0"), kernel=plain),
        "hgx-h200": changed("A good HGX H200 node.", gpus=node("NVIDIA H200", 143771, "9.0"), kernel=plain),
        "hgx-b200-mig": changed("MIG was left on, on an HGX B200 node.", gpus=_each_gpu(mig_mode="enabled")),
        "hgx-b200-small-disk": changed(
            "An HGX B200 node with a small root disk, beside a large empty mount.",
            disks=small,
            mounts=full,
            docker={**base["docker"], "images": {IMAGE: None}},
        ),
        "hgx-b200-nfs-cache": changed("An HGX B200 node whose home folders are on NFS.", disks=nfs),
        "rtx-pro-6000": changed(
            "Eight RTX PRO 6000 Blackwell in a PCIe server: no NVLink, no fabric.",
            gpus=node("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "12.0", nvlinks=0),
            fabric_manager=absent,
            kernel=plain,
        ),
    }


def text(facts: Facts) -> str:
    """The document: one line a part, one line a GPU, so that people and diffs can read it."""
    lines = []
    for key, value in facts.items():
        if key == "gpus":
            rows = ",\n".join(f"  {json.dumps(one)}" for one in value)
            lines.append(f' "gpus": [\n{rows}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    """Write every file; with --check say which are not what they should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    check = parser.parse_args().check
    wrong = []
    for name, facts in hosts().items():
        path = FOLDER / f"{name}.json"
        if not path.exists() or path.read_text() != text(facts):
            wrong.append(name)
            if not check:
                path.write_text(text(facts))
    print(f"{'not up to date' if check else 'written'}: {', '.join(wrong) or 'none'}")
    return 1 if wrong and check else 0


if __name__ == "__main__":
    sys.exit(main())
