"""A systemd of our own: a user manager, also on a machine that systemd did not boot, so that units run for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.conftest import until

# It starts only where systemd booted the machine, which it knows by a folder: given to it alone, by a mount of its own.
BOOTED = "mount -t tmpfs none /run/systemd && mkdir /run/systemd/system && exec /lib/systemd/systemd --user"


@dataclass
class Manager:
    """Units of one folder, and `systemctl` on them."""

    folder: Path
    env: dict[str, str]

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`systemctl --user …`."""
        return subprocess.run(
            ["systemctl", "--user", "--no-pager", *words], env=self.env, capture_output=True, text=True, timeout=300
        )

    def install(self, name: str, text: str, *override: str) -> None:
        """A unit, and lines of its [Service] that differ for a test. What it says goes to `NAME.log` beside it."""
        (self.folder / name).write_text(text)
        (self.folder / f"{name}.d").mkdir(exist_ok=True)
        (self.folder / f"{name}.d/test.conf").write_text(
            "\n".join(["[Service]", f"StandardError=append:{self.folder}/{name}.log", *override, ""])
        )
        done = self.systemctl("daemon-reload")
        assert done.returncode == 0, done.stderr

    def told(self, name: str, key: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--property", key, "--value", name).stdout.strip()


def can_run() -> str:
    """Why no manager can be had here ("" when one can)."""
    if os.geteuid() != 0 and not Path("/run/systemd/system").is_dir():
        return "systemd did not boot this machine, and pretending so needs root"
    missing = [word for word in ("/lib/systemd/systemd", "systemctl", "unshare") if shutil.which(word) is None]
    return f"not here: {', '.join(missing)}" if missing else ""


def managers() -> Iterator[Manager]:
    """A manager, ended afterwards with all that it runs. Its folder has a short path: sockets lie in it."""
    home = Path(tempfile.mkdtemp(prefix="dsv4-systemd-", dir="/tmp"))
    units = home / "config/systemd/user"
    units.mkdir(parents=True)
    (home / "run").mkdir(mode=0o700)
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {**keep, "HOME": str(home), "XDG_RUNTIME_DIR": f"{home}/run", "XDG_CONFIG_HOME": f"{home}/config"}
    words = ["/lib/systemd/systemd", "--user"]
    if not Path("/run/systemd/system").is_dir():
        Path("/run/systemd").mkdir(exist_ok=True)
        words = ["unshare", "--mount", "sh", "-c", BOOTED]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    manager = Manager(units, env)

    def runs() -> bool:
        if process.poll() is not None:  # a container that may mount nothing, say
            pytest.skip(f"no systemd can be started here: {(home / 'log').read_text(errors='replace')[-300:]}")
        return manager.systemctl("is-active", "basic.target").stdout.strip() == "active"

    try:
        until(runs, "systemd runs", 120)
        yield manager
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)
