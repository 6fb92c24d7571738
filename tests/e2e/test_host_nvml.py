"""nvidia-ml-py, as it is, over a C library that plays the driver: what it shows reaches the checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.examine import examine
from dsv4_launch.facts import HostFacts, NvLinks, RowRemap
from e2e.nvml_shim import TOPOLOGIES, build_shim

# What the real kernel of this machine answers, not the shim.
THIS_KERNEL = {"DRV003", "DRV004", "FAB004"}

LOOK = """
import sys
from dsv4_launch.facts import Request
from dsv4_launch.host.probe import probe
deadlines = {"gpus": float(sys.argv[1])}
print(probe(Request(gpus=True), deadlines_s=deadlines).to_json())
"""


@pytest.fixture(scope="session")
def shim_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nvml")


def look(shim_folder: Path, topology: str, deadline_s: float = 20) -> HostFacts:
    env = os.environ | build_shim(shim_folder, topology)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(deadline_s)], env=env, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return HostFacts.from_json(done.stdout)


def gpu_codes(facts: HostFacts, plan: str = "docker") -> set[str]:
    families = ("GPU", "DRV", "FAB", "MEM001")
    results = examine(PLANS[plan], facts)
    return {r.code for r in results if r.status == "failed" and r.code.startswith(families)} - THIS_KERNEL


@pytest.mark.parametrize(
    ("topology", "codes"),
    [
        ("b200x8", set()),
        ("b200x8-busy", {"GPU006"}),
        ("b200x8-last-4-busy", set()),
        ("b200x3", {"GPU003"}),
        ("b200x8-mig", {"GPU005"}),
        ("b200-mig-device", {"GPU002"}),
        ("h100x8", {"GPU002"}),
        ("h200x8", {"GPU002"}),
        ("gb200x4", {"GPU002"}),
        ("b300x8", {"GPU002"}),
        ("rtx-pro-6000x8", {"GPU002"}),
        ("b200x8-sick", {"GPU007", "GPU008", "GPU009", "GPU010", "GPU011", "FAB002", "FAB003"}),
        ("b200x8-old-driver", {"DRV001"}),
        ("b200x8-fabric-down", {"FAB001"}),
        ("no-gpu", {"GPU001"}),
        ("init-not-loaded", {"GPU001"}),
        ("init-mismatch", {"GPU001"}),
        ("no-count", {"GPU001"}),
    ],
)
def test_what_nvml_shows_reaches_the_checks(shim_folder: Path, topology: str, codes: set[str]) -> None:
    assert gpu_codes(look(shim_folder, topology)) == codes


def test_every_topology_is_tried() -> None:
    tried = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f'"{path.stem}"' in tried for path in TOPOLOGIES.glob("*.txt"))


def test_the_last_four_are_busy_only_for_whom_they_matter(shim_folder: Path) -> None:
    facts = look(shim_folder, "b200x8-last-4-busy")
    assert gpu_codes(facts, "last-four") == {"GPU006"}
    found = next(r for r in examine(PLANS["last-four"], facts) if r.code == "GPU006")
    assert "`gpus: [0, 1, 2, 3]`, which are free" in found.message


def test_every_field_of_a_gpu_is_read(shim_folder: Path) -> None:
    facts = look(shim_folder, "b200x8-busy")
    assert facts.driver is not None
    assert (facts.driver.version, facts.driver.cuda_version) == ("580.95.05", "13.0")
    assert facts.gpus is not None
    gpu = facts.gpus[7]
    assert (gpu.index, gpu.name, gpu.uuid) == (7, "NVIDIA B200", "GPU-00000000-0000-4000-8000-000000000007")
    assert (gpu.memory_total_mib, gpu.memory_free_mib) == (183359, 61000)
    assert (gpu.compute_capability, gpu.mig_mode, gpu.fabric_state) == ("10.0", "disabled", "completed")
    assert gpu.persistence_mode is True
    assert facts.problems == {}


def test_health_and_place_of_a_gpu_are_read(shim_folder: Path) -> None:
    gpus = look(shim_folder, "b200x8-sick").gpus
    assert gpus is not None
    first, second, third, fourth, well = gpus[0], gpus[1], gpus[2], gpus[3], gpus[7]
    assert first.row_remap == RowRemap(correctable=0, uncorrectable=8, pending=False, failed=True)
    assert (first.ecc_mode, first.ecc_uncorrected, first.pci_bus_id) == ("enabled", 2, "0000:1b:00.0")
    assert second.row_remap == RowRemap(correctable=1, uncorrectable=2, pending=True, failed=False)
    assert second.throttled == ("hardware thermal slowdown",), "the power cap is no complaint"
    assert (third.nvlinks, third.persistence_mode) == (NvLinks(active=16, inactive=2), False)
    assert fourth.numa_nodes == (1,)
    peers = fourth.peers or {}
    assert (peers["0"], peers["1"], peers["2"]) == ("chipset not supported", "disabled by registry key", "nvlink")
    assert (well.numa_nodes, well.throttled, well.ecc_uncorrected) == ((1,), (), 0)
    assert set(well.peers or {}) == set("0123456")


def test_what_a_gpu_does_not_have_is_known_and_no_problem(shim_folder: Path) -> None:
    facts = look(shim_folder, "rtx-pro-6000x8")
    gpu = (facts.gpus or ())[0]
    assert gpu.row_remap == RowRemap(supported=False)
    assert (gpu.nvlinks, gpu.numa_nodes) == (NvLinks(active=0, inactive=0), ())
    assert (gpu.ecc_mode, gpu.ecc_uncorrected) == ("disabled", None)
    assert set((gpu.peers or {}).values()) == {"pcie"}
    assert {path for path in facts.problems if path.startswith("gpus")} == set()


def test_arguments_of_a_process_are_not_recorded(shim_folder: Path) -> None:
    facts = look(shim_folder, "b200x8-busy")
    assert [p.name for p in (facts.gpus or ())[0].processes or ()] == ["python3"]
    assert "canary" not in facts.to_json()


def test_each_failing_call_costs_one_fact_and_says_why(shim_folder: Path) -> None:
    facts = look(shim_folder, "errors")
    gpus = facts.gpus
    assert gpus is not None
    assert len(gpus) == 5
    assert gpus[0].memory_total_mib is None
    assert gpus[0].name == "NVIDIA B200"
    health = ("pci_bus_id", "numa_nodes", "ecc_mode", "ecc_uncorrected", "row_remap", "throttled", "nvlinks", "peers")
    assert {name: getattr(gpus[0], name) for name in health} == dict.fromkeys(health)
    assert facts.why("gpus.0.row_remap") == "NVML says: GPU is lost"
    assert gpus[1].name is None
    assert gpus[1].memory_total_mib == 183359
    assert gpus[2].model_dump(exclude={"index"}, exclude_none=True) == {}
    assert gpus[4].model_dump(exclude_none=True).keys() >= {"name", "uuid", "processes", "mig_mode", "fabric_state"}
    assert facts.why("gpus.2.name") == "NVML says: GPU is lost"
    assert facts.why("gpus.1.processes") == "NVML says: Insufficient Permissions"
    assert facts.why("driver.cuda_version") == "NVML says: Unknown Error"
    assert {r.code for r in examine(REFERENCE, facts) if r.status == "passed"} & {"GPU002", "GPU005", "GPU006"} == set()


def test_a_driver_that_lies_is_not_believed(shim_folder: Path, tmp_path: Path) -> None:
    topology = tmp_path / "lies"
    topology.write_bytes(
        b"driver 580.95.05\ncuda 13000\ncount 3\n"
        b"gpu NVIDIA B200\nmemory 183359 999999\ncapability 10 0\nmig 0\n"
        b"gpu NVIDIA \x01\xff\xfe B200\nmemory 183359 182632\ncapability 10 0\nmig unsupported\nfabric -1\n"
        b"process 77 unknown\n"
    )
    facts = look(shim_folder, str(topology))
    gpus = facts.gpus
    assert gpus is not None
    assert len(gpus) == 3
    assert gpus[0].memory_free_mib is None
    assert "cannot be" in facts.why("gpus.0.memory_free_mib")
    assert gpus[1].name is None
    assert gpus[1].mig_mode == "unsupported"
    assert gpus[1].fabric_state == "not supported"
    assert [(p.pid, p.used_mib) for p in gpus[1].processes or ()] == [(77, None)]
    assert gpus[2].name is None


def test_a_value_that_no_gpu_can_have_costs_that_field_only(shim_folder: Path, tmp_path: Path) -> None:
    topology = tmp_path / "lies"
    topology.write_text(
        "driver 580.95.05\ncuda 13000\ngpu NVIDIA B200\nmemory 183359 182632\ncapability -7 0\nmig 0\necc -9\n"
        "fabric 250\nnvlink 99 0\nnuma 77\npci nonsense\nthrottle -1\nrows -5 -5 9 9\n"
    )
    facts = look(shim_folder, str(topology))
    (gpu,) = facts.gpus or ()
    assert (gpu.name, gpu.memory_total_mib, gpu.mig_mode) == ("NVIDIA B200", 183359, "disabled")
    assert gpu.compute_capability is None
    assert facts.why("gpus.0.compute_capability") == "NVML says -7.0, which cannot be"
    assert gpu.fabric_state is None
    assert gpu.nvlinks == NvLinks(active=36, inactive=0), "no more are asked for than there can be"
    assert gpu.numa_nodes == (77,)
    assert gpu.throttled == (
        "hardware slowdown",
        "software thermal slowdown",
        "hardware thermal slowdown",
        "power brake",
    )


def test_an_impossible_count_is_refused(shim_folder: Path, tmp_path: Path) -> None:
    topology = tmp_path / "many"
    topology.write_text("driver 580.95.05\ncuda 13000\ncount 2000000000\n")
    assert "cannot be" in look(shim_folder, str(topology)).why("gpus")


def test_a_driver_that_hangs_is_left_behind_at_its_deadline(shim_folder: Path) -> None:
    facts = look(shim_folder, "init-hangs", deadline_s=1)
    assert facts.gpus is None
    assert facts.why("gpus") == "no answer within 1 s"
    assert facts.system is not None
    assert gpu_codes(facts) == {"GPU001"}


def test_without_nvml_the_reason_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK, "20"], capture_output=True, text=True, check=True, timeout=150)
    facts = HostFacts.from_json(done.stdout)
    if facts.gpus is not None:
        pytest.skip("this machine has an NVIDIA driver")
    assert "no NVIDIA driver is installed" in facts.why("gpus")
    assert gpu_codes(facts) == {"GPU001"}
