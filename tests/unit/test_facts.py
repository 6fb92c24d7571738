"""Facts survive a round trip, tell what they do not know, and refuse what is not a facts document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.errors import InputError
from dsv4_launch.facts import (
    MAX_DOCUMENT_BYTES,
    Container,
    Disk,
    Docker,
    Driver,
    FabricManager,
    Gpu,
    GpuProcess,
    HostFacts,
    Hub,
    Image,
    Kernel,
    KernelError,
    Limits,
    Mount,
    Native,
    Network,
    NvLinks,
    Port,
    RowRemap,
    Snapshot,
    System,
)


def everything() -> HostFacts:
    """Facts in which every part is present."""
    gpu = Gpu(
        index=0,
        name="NVIDIA B200",
        uuid="GPU-1",
        memory_total_mib=183359,
        memory_free_mib=182000,
        compute_capability="10.0",
        mig_mode="disabled",
        processes=(GpuProcess(pid=7, name="python", used_mib=12),),
        persistence_mode=True,
        fabric_state="completed",
        pci_bus_id="0000:1b:00.0",
        numa_nodes=(0,),
        ecc_mode="enabled",
        ecc_uncorrected=0,
        row_remap=RowRemap(pending=True),
        throttled=("power brake",),
        nvlinks=NvLinks(active=18, inactive=0),
        peers={"1": "nvlink"},
    )
    docker = Docker(
        cli_path="/usr/bin/docker",
        endpoint="unix:///var/run/docker.sock",
        engine="ready",
        runtimes=("runc", "nvidia"),
        images={"a:1": Image(id="sha256:1", env={"CUDA_VERSION": "13.0.0"}), "b:1": None},
        containers={"x": Container(id="c", state="running", host_ports=(8000,)), "y": None},
    )
    return HostFacts(
        origin="constructed",
        taken_at="2026-11-23T00:00:00Z",
        gpus=(gpu,),
        driver=Driver(version="580.95.05", cuda_version="13.0"),
        docker=docker,
        fabric_manager=FabricManager(installed=True, version="580.95.05", running=True),
        kernel=Kernel(
            modules={"nvidia_uvm": True},
            errors=(KernelError(kind="xid", number=79, pci="0000:1b:00", count=2),),
            complete=False,
        ),
        mounts=(Mount(mount_point="/data", fs_type="xfs", total_bytes=9, free_bytes=8),),
        network=Network(endpoint="https://huggingface.co", reachable=True, skew_s=-0.5, access={"a/b": "yes"}),
        native=Native(executable="vllm", path="/v/bin/vllm", version="0.20.0"),
        disks={"weights": Disk(path="/data/x", looked_at="/data", total_bytes=10, free_bytes=5), "caches": None},
        ports={"127.0.0.1:8000": Port(free=False, pid=9, process="nginx")},
        system=System(
            os="Debian",
            cpu_flags=("avx512f",),
            numa_nodes=2,
            limits=Limits(nofile_soft=1024, nofile_hard=-1, memlock_hard_bytes=8388608),
        ),
        hub=Hub(token_present=True, snapshots={"a/b": Snapshot(size_bytes=3, complete=False, missing=("x",))}),
        problems={"gpus.0.processes": "not permitted"},
    )


def document(**changes: Any) -> str:
    data = json.loads(everything().to_json())
    data.update(changes)
    return json.dumps(data)


def wheres(error: InputError) -> list[str]:
    return [problem.where for problem in error.problems]


def test_everything_survives_a_round_trip() -> None:
    facts = everything()
    assert HostFacts.from_json(facts.to_json()) == facts
    assert HostFacts.from_json(facts.to_json().encode()) == facts


def test_the_empty_host_survives_a_round_trip() -> None:
    facts = HostFacts(origin="probed")
    assert HostFacts.from_json(facts.to_json()) == facts
    assert facts.gpus is None


def test_unknown_and_absent_stay_apart() -> None:
    absent = HostFacts(origin="probed", gpus=())
    assert HostFacts.from_json(absent.to_json()).gpus == ()
    back = HostFacts.from_json(everything().to_json())
    assert back.docker is not None
    assert back.docker.images is not None
    assert "b:1" in back.docker.images
    assert back.docker.images["b:1"] is None


def test_why_takes_the_nearest_reason() -> None:
    facts = HostFacts(origin="probed", problems={"gpus": "no driver", "gpus.0.mig_mode": "denied"})
    assert facts.why("gpus.0.mig_mode") == "denied"
    assert facts.why("gpus.0.name") == "no driver"
    assert facts.why("ports") == "these facts do not say"


def test_a_newer_schema_is_read_and_what_was_dropped_is_listed() -> None:
    data = json.loads(document(schema_version=2, weather="sunny"))
    data["gpus"][0]["colour"] = "green"
    facts = HostFacts.from_json(json.dumps(data))
    assert set(facts.unread) == {"weather", "gpus[0].colour"}
    assert facts.gpus == everything().gpus
    assert facts.schema_version == 2


def test_a_newer_schema_with_a_wrong_value_is_still_refused() -> None:
    with pytest.raises(InputError) as caught:
        HostFacts.from_json(document(schema_version=2, weather="sunny", driver=7), "f.json")
    assert "f.json: driver" in wheres(caught.value)


def test_an_unknown_key_of_our_own_schema_is_a_spelling_mistake() -> None:
    with pytest.raises(InputError) as caught:
        HostFacts.from_json(document(gpu=[]), "f.json")
    assert wheres(caught.value) == ["f.json: gpu"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"gpus": "eight"}, "f.json: gpus"),
        ({"gpus": [{"index": "0"}]}, "f.json: gpus[0].index"),
        ({"gpus": [{"index": 0, "memory_total_mib": -1}]}, "f.json: gpus[0].memory_total_mib"),
        ({"gpus": [{"index": 0, "memory_total_mib": 10**40}]}, "f.json: gpus[0].memory_total_mib"),
        ({"gpus": [{"index": 0, "memory_total_mib": True}]}, "f.json: gpus[0].memory_total_mib"),
        ({"gpus": [{"index": 0, "compute_capability": "ten"}]}, "f.json: gpus[0].compute_capability"),
        ({"driver": {"version": "5" * 5000}}, "f.json: driver.version"),
        ({"gpus": [{"index": 0}] * 2000}, "f.json: gpus"),
        ({"origin": "dreamt"}, "f.json: origin"),
        ({"schema_version": "1"}, "f.json: schema_version"),
        ({"schema_version": True}, "f.json: schema_version"),
        ({"schema_version": 0}, "f.json: schema_version"),
        ({"disks": {"weights": {"path": "/d", "looked_at": "/d"}}}, "f.json: disks.weights.total_bytes"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(change: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        HostFacts.from_json(document(**change), "f.json")
    assert where in wheres(caught.value)
    assert caught.value.exit_code == 3
    assert all(len(problem.where) + len(problem.message) < 500 for problem in caught.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        '"facts"',
        "{",
        document()[:-40],
        "[" * 100_000,
        '{"schema_version": 1, "origin": "probed", "note": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"schema_version": NaN}',
        b"\xff\xfe{}",
        " " * (MAX_DOCUMENT_BYTES + 1),
        "schema_version: 1",
    ],
)
def test_what_is_not_a_facts_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError):
        HostFacts.from_json(text, "f.json")


def test_a_thousand_wrong_values_give_a_short_error() -> None:
    with pytest.raises(InputError) as caught:
        HostFacts.from_json(document(gpus=[{"index": "x"}] * 1000))
    assert len(caught.value.problems) <= 20


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(junk=JUNK, draw=st.data(), newer=st.booleans())
def test_one_wrong_value_anywhere_is_read_or_refused_and_never_a_crash(
    junk: Any, draw: st.DataObject, newer: bool
) -> None:
    data = json.loads(everything().to_json())
    data["schema_version"] = 7 if newer else 1
    place: Any = data
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw.draw(st.booleans()):
            break
        place = place[key]
    place[key] = junk
    try:
        facts = HostFacts.from_json(json.dumps(data), "f.json")
    except InputError:
        return
    assert HostFacts.from_json(facts.to_json()) == facts


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        everything().gpus = ()  # type: ignore[misc]


def test_a_record_of_before_the_newer_facts_is_read_and_they_are_unknown() -> None:
    data = json.loads(everything().to_json())
    for part in ("fabric_manager", "kernel", "mounts", "network"):
        del data[part]
    for field in ("row_remap", "peers", "nvlinks", "numa_nodes"):
        del data["gpus"][0][field]
    del data["system"]["limits"]
    facts = HostFacts.from_json(json.dumps(data))
    assert facts.kernel is None
    assert facts.gpus is not None
    assert facts.gpus[0].row_remap is None
    assert facts.why("gpus.0.row_remap") == "these facts do not say"


def test_facts_that_contradict_each_other_are_refused_with_their_path() -> None:
    data = json.loads(document())
    data["gpus"].append(data["gpus"][0])
    data["hub"]["snapshots"]["a/b"] = {"size_bytes": 3, "complete": True, "missing": ["x"]}
    with pytest.raises(InputError) as caught:
        HostFacts.from_json(json.dumps(data), "f.json")
    assert wheres(caught.value) == ["f.json: gpus", "f.json: hub.snapshots.a/b"]
    assert [problem.message for problem in caught.value.problems] == [
        "Wrong value: two GPUs have index 0.",
        "Wrong value: a snapshot that is complete misses nothing.",
    ]
