"""`dsv4 doctor` as a program: on this machine, on a stand-in node, recorded and replayed, and bundled for an issue."""

import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from dsv4_launch.checks.examine import examine
from dsv4_launch.cli import drivers
from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.doctor import bundle
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.facts import HostFacts
from dsv4_launch.host import docker_limits
from dsv4_launch.host.docker_address import find_endpoint
from dsv4_launch.plan.resolve import resolve
from e2e.conftest import STANDIN, Node
from e2e.nvml_shim import build_shim

CANARIES = ("hf_canaryCANARY0123456789", "pass-canary-0123", "file-canary-0123456", "log-canary-0123456")
QUIET = {"DOCKER_HOST": "unix:///no/such.sock"}


def dsv4(*words: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from dsv4_launch.cli.main import run; run()", *words]
    known = os.environ | QUIET | (env or {})
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=150, check=False)


@pytest.fixture(scope="module")
def nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nvml")


def test_a_machine_without_gpus_is_told_so() -> None:
    done = dsv4("doctor")
    first = done.stdout.splitlines()[0]
    if "No GPU can be used here" not in done.stdout:
        pytest.skip("this machine has GPUs")
    assert done.returncode == 5
    assert first.startswith("  FAILED ")
    assert "\x1b" not in done.stdout + done.stderr
    assert "Not looked at until others are well: " in done.stdout


def test_a_node_is_recorded_and_judged_the_same_anywhere(nvml_folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "node.json"
    here = dsv4("doctor", "--save", str(record), "--output", "json", env=build_shim(nvml_folder, "b200x8-sick"))
    there = dsv4("doctor", "--facts", str(record), "--output", "json")
    facts = HostFacts.from_json(record.read_bytes())
    assert facts.origin == "recorded"
    assert facts.taken_at
    seen, replayed = (json.loads(done.stdout)["data"] for done in (here, there))
    assert seen["checks"] == replayed["checks"]
    assert replayed["host"]["origin"] == "recorded"
    assert here.returncode == there.returncode == 5
    codes = {check["code"] for check in seen["checks"] if check["status"] == "failed"}
    assert codes >= {"GPU007", "GPU008", "FAB002", "CTR002"}
    differing = dsv4("facts", "diff", "hgx-b200", str(record))
    assert "gpus.0.row_remap.failed: false -> true" in differing.stdout


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    done = dsv4("doctor", "--save", str(tmp_path / "none" / "x.json"))
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "alice"
    (folder / ".cache/huggingface").mkdir(parents=True)
    (folder / ".cache/huggingface/token").write_text(CANARIES[2])
    return folder


def unpack(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name.partition("/")[2]: file.read().decode() for name, file in files.items() if file is not None}


def test_a_bundle_holds_what_an_issue_needs_and_nothing_private(home: Path, tmp_path: Path, nvml_folder: Path) -> None:
    out = tmp_path / "out.tar.gz"
    secret = {
        "HOME": str(home),
        "HF_TOKEN": CANARIES[0],
        "DB_PASSWORD": CANARIES[1],
        "HF_ENDPOINT": "https://u:pass-canary-0123@mirror.corp.example/hub",
        "DOCKER_HOST": "tcp://203.0.113.7:2376",
    }
    config = tmp_path / "x.yaml"
    text = Path("configs/flash-b200.yaml").read_text()
    config.write_text(f'{text}\nenv: {{HTTP_PROXY: "http://proxy.corp:3128"}}\n')
    done = dsv4("doctor", str(config), "--bundle", str(out), env=secret | build_shim(nvml_folder))
    assert done.returncode == 5, done.stdout + done.stderr
    files = unpack(out.read_bytes())
    assert set(files) == {
        "README", "facts.json", "results.json", "plan.json", "config.json", "versions.json", "log.txt",
    }  # fmt: skip
    everything = "\n".join(files.values())
    for private in (*CANARIES, "canary", "203.0.113.7", "corp.example", "proxy.corp", str(home)):
        assert private not in everything, private
    assert not re.search(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])", everything)
    assert HostFacts.from_json(files["facts.json"]).gpus
    assert json.loads(files["versions.json"])["python"]
    assert json.loads(files["plan.json"])["name"] == "flash-b200"
    assert {c["code"] for c in json.loads(files["results.json"])} >= {"GPU001", "CTR002"}
    (tmp_path / "facts.json").write_text(files["facts.json"])
    assert dsv4("doctor", "--facts", str(tmp_path / "facts.json")).returncode == 5


def test_a_bundle_names_no_other_machine_or_person_either(tmp_path: Path) -> None:
    private = {
        "env": {
            "PEER": "10.11.12.13:80", "PEER6": "fe80::1ff:fe23:4567:890a%eth0", "MASTER": "node7.lab.initech.com",
            "NOTE": "ask bob@initech.example", "MASTER_ADDR": "prodbox8", "WHO": "aa:bb:cc:dd:ee:ff",
        },
        "server": {"host": "2001:db8::5"},
        "container": {
            "image": "reg.initech.internal:5000/team/vllm:0.20.0",
            "mounts": [{"source": "/home/zoe/data", "target": "/d"}],
            "options": ["--add-host=dbserver:10.0.0.7", "--hostname", "prodbox9", "--dns=192.168.7.7"],
        },
    }  # fmt: skip
    config, out = tmp_path / "x.yaml", tmp_path / "out.tar.gz"
    lines = [f"{key}: {json.dumps(value)}" for key, value in private.items() if key != "server"]
    text = Path("configs/flash-b200.yaml").read_text().replace("127.0.0.1", "2001:db8::5")
    text = re.sub(r"^container:.*?(?=^\S)", "", text, flags=re.M | re.S)
    config.write_text("\n".join([text, *lines]) + "\n")
    done = dsv4("doctor", str(config), "--bundle", str(out))
    assert done.returncode == 5, done.stdout + done.stderr
    everything = "\n".join(unpack(out.read_bytes()).values())
    for word in (
        "10.11.12",
        "fe80",
        "890a",
        "initech",
        "bob",
        "prodbox",
        "dbserver",
        "aa:bb",
        "2001:db8",
        "zoe",
        "192.168",
    ):
        assert word not in everything, word
    assert "deepseek-ai/DeepSeek-V4-Flash" in everything


def test_the_log_in_a_bundle_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"non-default args: {{'api_key': ['{CANARIES[3]}'], 'model': 'x'}}",
        "(APIServer pid=1) INFO connection from 203.0.113.9:51000",
        f"node {socket.gethostname()} says Authorization: Bearer {CANARIES[3]}",
        "RuntimeError: Engine core initialization failed. See root cause above",
    ]
    driver = SimpleNamespace(logs=lambda _name, follow, tail: iter(lines))
    monkeypatch.setattr(drivers, "find", lambda _name: SimpleNamespace(driver=driver))
    plan, facts = resolve(load_config(None)), read_facts("hgx-b200").model_copy(update={"origin": "probed"})
    log = unpack(bundle.pack(plan, facts, examine(plan, facts)))["log.txt"]
    assert "canary" not in log
    assert "203.0.113.9" not in log
    assert "node (host) says" in log
    assert "Engine core initialization failed" in log
    assert len(log.splitlines()) == 4


def test_the_limits_that_are_told_are_those_that_a_container_gets(node: Node) -> None:
    words = (
        "run",
        "--rm",
        "--entrypoint",
        "sh",
        STANDIN,
        "-c",
        "ulimit -Hn; grep -i 'locked memory' /proc/self/limits",
    )
    files, locked = node.docker(*words).splitlines()
    known = {"DOCKER_HOST": node.env["DOCKER_HOST"]} if "DOCKER_HOST" in node.env else {}
    found = docker_limits.read_default_ulimits(find_endpoint(node.env | known).url)
    assert str(found["nofile"]) == files
    assert str(found["memlock"]).replace("-1", "unlimited") == locked.split()[4]
