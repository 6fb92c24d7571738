"""What the probes make of texts and folders."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from dsv4_launch.facts import Request
from dsv4_launch.host.disk import mount_of
from dsv4_launch.host.docker import _cdi_devices
from dsv4_launch.host.docker_address import Endpoint, find_endpoint
from dsv4_launch.host.hub import read_hub
from dsv4_launch.host.looking import CouldNotLook, clean, spell
from dsv4_launch.host.native import interpreter
from dsv4_launch.host.places import find_places
from dsv4_launch.host.ports import holder, listening_inodes
from dsv4_launch.host.system import read_system

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /data rw - nfs4 server:/export rw,vers=4.2
31 30 259:1 / /data/fast\040disk rw,noatime shared:2 master:3 - xfs /dev/nvme0n1 rw
32 22 0:40 / /mnt rw - tmpfs tmpfs rw
33 22 259:2 / /mnt rw - btrfs /dev/sdb rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("/", "ext4")),
        ("/data", ("/data", "nfs4")),
        ("/database", ("/", "ext4")),
        ("/data/fast disk/hub", ("/data/fast disk", "xfs")),
        ("/data/fast", ("/data", "nfs4")),
        ("/mnt/x", ("/mnt", "btrfs")),
    ],
)
def test_the_deepest_and_last_mount_holds_a_path(path: str, expected: tuple[str, str]) -> None:
    assert mount_of(path, MOUNTS) == expected


def test_without_a_mount_table_nothing_is_known() -> None:
    assert mount_of("/", "") == (None, None)


def test_text_of_others_is_made_printable_and_short() -> None:
    assert clean(b"NVIDIA \xff B200\n") == "NVIDIA � B200"
    assert clean("a\x1b[31mb\nc") == "a�[31mb�c"
    assert len(clean("x" * 100_000)) <= 4096
    assert spell(FileNotFoundError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    assert spell(ValueError("odd")) == "ValueError: odd"


def docker_config(folder: Path, **config: str) -> dict[str, str]:
    (folder / ".docker").mkdir(parents=True)
    (folder / ".docker" / "config.json").write_text(json.dumps(config))
    return {"HOME": str(folder)}


def docker_context(folder: Path, name: str, endpoint: dict[str, object]) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    return folder / ".docker" / "contexts" / "tls" / digest / "docker"


def test_the_engine_is_found_in_dockers_own_order(tmp_path: Path) -> None:
    env = docker_config(tmp_path, currentContext="lab")
    tls = docker_context(tmp_path, "lab", {"Host": "tcp://lab:2376", "SkipTLSVerify": True})
    tls.mkdir(parents=True)
    assert find_endpoint(env) == Endpoint("tcp://lab:2376", "lab", str(tls), tls_verify=False)
    assert find_endpoint(env | {"DOCKER_CONTEXT": "default"}) == Endpoint("unix:///var/run/docker.sock", "default")
    assert find_endpoint(env | {"DOCKER_HOST": "unix:///o.sock", "DOCKER_CONTEXT": "default"}).url == "unix:///o.sock"
    assert find_endpoint({"HOME": str(tmp_path / "other")}) == Endpoint("unix:///var/run/docker.sock", "default")
    assert find_endpoint(env).remote
    assert not find_endpoint({"HOME": str(tmp_path / "other")}).remote


def test_tls_by_environment(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "DOCKER_HOST": "tcp://x:2376"}
    assert find_endpoint(env).tls_dir is None
    assert find_endpoint(env | {"DOCKER_TLS_VERIFY": "1"}) == Endpoint("tcp://x:2376", "", str(tmp_path / ".docker"))
    assert find_endpoint(env | {"DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/c"}) == Endpoint(
        "tcp://x:2376", "", "/c", tls_verify=False
    )


@pytest.mark.parametrize("meta", ["", "{}", "[]", '{"Endpoints": {"docker": {}}}', '{"Endpoints": 3}'])
def test_a_context_that_cannot_be_read_is_not_replaced_by_another(tmp_path: Path, meta: str) -> None:
    env = docker_config(tmp_path, currentContext="lab")
    docker_context(tmp_path, "lab", {})
    next((tmp_path / ".docker" / "contexts" / "meta").glob("*/meta.json")).write_text(meta)
    with pytest.raises(CouldNotLook, match="lab"):
        find_endpoint(env)


def test_cdi_devices_come_from_the_engine_or_from_spec_files(tmp_path: Path) -> None:
    here = Endpoint("unix:///x", "default")
    named = {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}
    assert _cdi_devices(named, here) == ("nvidia.com/gpu=all",)
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: []\n")
    (tmp_path / "other.json").write_text('{"cdiVersion": "0.5.0",\n "kind": "vendor.com/nic"}')
    (tmp_path / "notes.txt").write_text("kind: no/device")
    specs = {"CDISpecDirs": [str(tmp_path), str(tmp_path / "absent")]}
    assert _cdi_devices(specs, here) == ("nvidia.com/gpu", "vendor.com/nic")
    assert _cdi_devices(specs, Endpoint("tcp://far:2376", "")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#!{python}\nx", "{python}"),
        ("#!{python} -I\nx", "{python}"),
        ('#!/bin/sh\n\'\'\'exec\' "{python}" "$0" "$@"\n', "{python}"),
        ("#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n", "{python}"),
        # A relocatable environment of uv (`uv venv --relocatable`), as the rehearsal's is.
        ('#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python3.11\' "$0" "$@"\n', "{python}"),
        ("#!/bin/sh\nexec something\n", None),
        ("#!/no/such/python3\n", None),
        ("\x7fELF", None),
        ("", None),
    ],
)
def test_the_interpreter_of_a_console_script(tmp_path: Path, text: str, expected: str | None) -> None:
    python = tmp_path / "python3.11"
    python.touch()
    script = tmp_path / "vllm"
    script.write_text(text.replace("{python}", str(python)))
    assert interpreter(script) == (expected and expected.replace("{python}", str(python)))


def test_listeners_are_found_by_port_and_state(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: {address}:{port:04X} 00000000:0000 {state} 0:0 00:0 00000000     0        0 {inode} 1\n"
    (tmp_path / "net" / "tcp").write_text(
        head
        + row.format(address="0100007F", port=8000, state="0A", inode=11)
        + row.format(address="0100007F", port=8000, state="06", inode=12)
        + row.format(address="0100007F", port=8001, state="0A", inode=13)
    )
    (tmp_path / "net" / "tcp6").write_text(head + row.format(address="0" * 32, port=8000, state="0A", inode=14))
    assert listening_inodes(8000, tmp_path) == {"11", "14"}
    assert listening_inodes(8002, tmp_path) == set()
    process = tmp_path / "4711"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("nginx\n")
    (process / "fd" / "3").symlink_to("socket:[14]")
    assert holder({"11", "14"}, tmp_path) == (4711, "nginx")
    assert holder({"13"}, tmp_path) is None


def test_places_are_what_a_shell_would_find() -> None:
    places = find_places({"HOME": "/h", "HF_HOME": "", "XDG_CACHE_HOME": "/c"})
    assert places["hf_home"] == "/h/.cache/huggingface"
    assert places["dsv4_cache"] == "/c/dsv4"
    assert places["rehearsal_home"] == "/c/dsv4/rehearsal"
    assert find_places({"HOME": "/h", "HF_HOME": "/data/hf"})["hf_home"] == "/data/hf"
    assert find_places({"HOME": "/h", "DSV4_REHEARSAL_HOME": "/r"})["rehearsal_home"] == "/r"


def cached_repo(cache: Path, files: dict[str, str], revision: str = "main") -> None:
    commit = "a" * 40
    repo = cache / "models--o--m"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / revision).write_text(commit)
    for name, text in files.items():
        (snapshot / name).write_text(text)


INDEX = json.dumps({"metadata": {"total_size": 6}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}})
WHOLE = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "model.safetensors.index.json": INDEX,
    "m-1.safetensors": "123",
    "m-2.safetensors": "456",
}


@pytest.mark.parametrize(
    ("files", "complete", "missing"),
    [
        (WHOLE, True, ()),
        ({k: v for k, v in WHOLE.items() if k != "m-2.safetensors"}, False, ("m-2.safetensors",)),
        ({k: v for k, v in WHOLE.items() if k != "tokenizer.json"}, False, ("tokenizer.json",)),
        (WHOLE | {"m-2.safetensors": "4"}, False, ("2 bytes of weights",)),
        ({"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "1"}, True, ()),
        ({"config.json": "{}", "tokenizer.json": "{}"}, False, ("model.safetensors",)),
    ],
)
def test_a_snapshot_is_complete_when_all_that_its_index_names_is_there(
    tmp_path: Path, files: dict[str, str], complete: bool, missing: tuple[str, ...]
) -> None:
    cached_repo(tmp_path, files)
    hub = read_hub(Request(hub_cache=str(tmp_path), repos=(("o/m", None), ("o/other", "v1"))), no_notes, {})
    assert hub.snapshots is not None
    assert hub.snapshots["o/other@v1"] is None
    snapshot = hub.snapshots["o/m"]
    assert snapshot is not None
    assert (snapshot.complete, snapshot.missing) == (complete, missing)
    assert snapshot.size_bytes == sum(len(text) for text in files.values())
    assert snapshot.revision == "a" * 40


def test_an_index_that_is_no_index_is_unknown_and_says_so(tmp_path: Path) -> None:
    cached_repo(tmp_path, WHOLE | {"model.safetensors.index.json": "[]"})
    notes: dict[str, str] = {}
    hub = read_hub(Request(hub_cache=str(tmp_path), repos=(("o/m", None),)), notes.__setitem__, {})
    assert hub.snapshots == {}
    assert "not an index" in notes["hub.snapshots.o/m"]


def no_notes(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def test_where_a_token_is(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    request = Request(token_env="MY_TOKEN")
    assert read_hub(request, no_notes, env).token_present is False
    assert read_hub(request, no_notes, env | {"MY_TOKEN": " "}).token_present is False
    assert read_hub(request, no_notes, env | {"HF_TOKEN": "x"}).token_present is False
    assert read_hub(request, no_notes, env | {"MY_TOKEN": "x"}).token_source == "environment"
    (tmp_path / "token").write_text("x")
    assert read_hub(request, no_notes, env | {"HF_HOME": str(tmp_path)}).token_source == "file"


def test_a_system_without_its_files_is_unknown_and_says_why(tmp_path: Path) -> None:
    notes: dict[str, str] = {}
    system = read_system(notes.__setitem__, tmp_path)
    assert system.memory_total_bytes is None
    assert system.cpu_flags is None
    assert "system.memory_total_bytes" in notes
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:       16 kB\nMemAvailable:    8 kB\n")
    (tmp_path / "proc" / "cpuinfo").write_text("flags\t\t: avx2 fma\nmodel name\t: X\n\nflags\t\t: none\n")
    system = read_system(notes.__setitem__, tmp_path)
    assert (system.memory_total_bytes, system.memory_available_bytes) == (16384, 8192)
    assert system.cpu_flags == ("avx2", "fma")


def test_a_namespace_without_the_nvml_of_today_costs_fields_not_the_probe() -> None:
    """nvidia-ml-py older or newer than ours: whatever it lacks is one unknown field."""
    from dsv4_launch.host.nvml import _read_gpu

    notes: dict[str, str] = {}
    nvml = SimpleNamespace(nvmlDeviceGetName=lambda _h: b"NVIDIA B200")
    gpu = _read_gpu(nvml, 3, {3: 1}, notes.__setitem__)
    assert (gpu.index, gpu.name, gpu.uuid) == (3, "NVIDIA B200", None)
    assert "gpus.3.uuid" in notes
