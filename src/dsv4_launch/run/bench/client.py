"""The load generator as a process: vLLM's own client, in the image that serves, or in an environment that has vLLM."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dsv4_launch
from dsv4_launch.bench.client import ENVIRONMENT, KEY_VARIABLE
from dsv4_launch.errors import HostError, ToolError

WRAPPER = Path(dsv4_launch.__file__).parent / "deep" / "bench_client.py"
# The wrapper's own option: the first line of its stdin is the key.
KEY_ON_STDIN = "--key-on-stdin"
WATCH, RESULT = "watch.jsonl", "result.json"
# Where a container sees the scratch folder, the wrapper and a data set.
_OUT, _WRAPPER, _DATA = "/dsv4-bench/out", "/dsv4-bench/client.py", "/dsv4-bench/data"
_END_S = 10.0
_REMOVE_S = 60.0
_KEPT = 400
# What -P does from Python 3.11 on; 3.10, in which vLLM runs too, knows neither and must not stumble over it.
_SAFE_PATH = {"PYTHONSAFEPATH": "1"}
_PROXIES = re.compile(r"^(https?|all|ftp)_proxy$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Client:
    """Where the client runs: an image (beside ``container``, if there is one), a Python, or a program.

    ``model_dir`` is a folder of this machine that an image's client needs for its tokenizer.
    """

    python: str = ""
    program: str = ""
    image: str = ""
    container: str = ""
    model_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """For a person and for the record."""
        if self.image:
            return f"image {self.image}"
        return self.python or self.program

    @property
    def inside(self) -> bool:
        """True when it runs in a container, and sees other paths than this process."""
        return bool(self.image)

    def paths(self, scratch: Path, dataset: str) -> tuple[str, str]:
        """The scratch folder and the data set as the client sees them."""
        if not self.inside:
            return str(scratch), dataset
        return _OUT, f"{_DATA}{Path(dataset).suffix}" if dataset else ""

    def command(self, words: tuple[str, ...], scratch: Path, dataset: str, name: str, *, keyed: bool) -> list[str]:
        """The whole command of a point; the key is not in it. A container gets it by its stdin (``keyed``)."""
        if self.image:
            asked = [KEY_ON_STDIN] if keyed else []
            return [*self._container(scratch, dataset, name), *asked, f"{_OUT}/{WATCH}", *words]
        if self.python:
            return [self.python, str(WRAPPER), str(scratch / WATCH), *words]
        return [self.program, *words]

    def asking(self, line: str, name: str) -> list[str]:
        """The command that has the client's Python run a line, with the packages that it will load from.

        Empty for a program, whose Python nobody knows. An image that is not here is not fetched for it.
        """
        if self.image:
            words = ["docker", "run", "--rm", "--name", name, "--pull", "never", "--network", "none"]
            return [*words, *self._surroundings(_SAFE_PATH), "-c", line]
        return [self.python, "-c", line] if self.python else []

    def _container(self, scratch: Path, dataset: str, name: str) -> list[str]:
        words = ["docker", "run", "--rm", "--interactive", "--name", name]
        # In the server's own network: no published port, no proxy process lies between the two.
        words += ["--network", f"container:{self.container}" if self.container else "host"]
        words += ["--volume", f"{scratch}:{_OUT}", "--volume", f"{WRAPPER}:{_WRAPPER}:ro"]
        words += ["--volume", f"{dataset}:{_DATA}{Path(dataset).suffix}:ro"] if dataset else []
        words += ["--volume", f"{self.model_dir}:{self.model_dir}:ro"] if self.model_dir else []
        return [*words, *self._surroundings({}), _WRAPPER]

    def _surroundings(self, more: Mapping[str, str]) -> list[str]:
        """The server's mounts, the variables and the image, whose Python takes the words that follow."""
        words = ["--volumes-from", f"{self.container}:ro"] if self.container else []
        for variable, value in sorted({**self.environment, **ENVIRONMENT, **more}.items()):
            words += ["--env", f"{variable}={value}"]
        return [*words, "--entrypoint", "python3", self.image]

    def variables(self, environ: Mapping[str, str], key: str) -> dict[str, str]:
        """The environment of the command: no proxy, no Hub, and the key under the name that the client reads.

        A container's variables are shown by ``docker inspect``: no key is among them.
        """
        kept = {n: v for n, v in environ.items() if not _PROXIES.match(n) and n not in (KEY_VARIABLE, "VLLM_API_KEY")}
        if self.image:
            return kept
        return {**kept, **self.environment, **ENVIRONMENT, **_SAFE_PATH, **({KEY_VARIABLE: key} if key else {})}


def native_client(executable: str, environ: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Client:
    """The client of a ``vllm`` program: through its Python where it is a script of one, so that it can be watched.

    Raises HostError when there is no such program.
    """
    found = shutil.which(executable, path=environ.get("PATH") or os.defpath)
    if found is None:
        raise HostError(
            f"There is no program {executable} here.",
            where=executable,
            fix="--client-python names a Python that has vLLM, --client-image an image that has it.",
            code="no-client",
        )
    python = _interpreter(Path(found))
    return Client(python=python, program="" if python else found, environment=environment or {})


def _interpreter(program: Path) -> str:
    """The Python that runs the console script of an installed vLLM ("" for any other program).

    An installer writes its path into the first line, or has a shell look for it beside the script.
    """
    try:
        with program.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except OSError:
        return ""
    if not head.startswith("#!") or "vllm.entrypoints" not in head:
        return ""
    named = head[2:].splitlines()[0].strip()
    for python in (named, *(str(program.resolve().with_name(name)) for name in ("python3", "python"))):
        if "python" in Path(python).name and " " not in python and os.access(python, os.X_OK):
            return python
    return ""


class Process:
    """A client that runs. Its output is read by `pump`; closing its stdin ends it, also when this process is killed."""

    def __init__(self, command: list[str], variables: Mapping[str, str], name: str, cwd: Path, key: str = "") -> None:
        """Start it, and hand it its key where it asks for one. Raises ToolError when it cannot be started."""
        self.command, self._name, self._rest = command, name, b""
        self.lines: list[str] = []
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(variables),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"The client cannot be started: {error.strerror}.", where=command[0]) from None
        if KEY_ON_STDIN in command and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it is gone already: its exit code says so
                self._process.stdin.write(f"{key}\n".encode())
                self._process.stdin.flush()

    def pump(self, wait_s: float, tell: Callable[[str], None]) -> int | None:
        """Read for a while, handing over each line; returns the exit code once it has ended and all is read."""
        out = self._process.stdout
        deadline_s = time.monotonic() + wait_s
        while out is not None and (left_s := deadline_s - time.monotonic()) > 0:
            if not select.select([out], [], [], left_s)[0]:
                return None
            data = os.read(out.fileno(), 65_536)
            if not data:
                self._take(self._rest, tell)
                self._rest = b""
                return self._process.wait()
            *whole, self._rest = re.split(rb"[\r\n]", self._rest + data)
            for piece in whole:
                self._take(piece, tell)
        return None

    def _take(self, piece: bytes, tell: Callable[[str], None]) -> None:
        line = piece[:4096].decode("utf-8", "replace").rstrip()
        if line:
            if len(self.lines) > 2 * _KEPT:
                del self.lines[:_KEPT]
            self.lines.append(line)
            tell(line)

    def end(self) -> None:
        """End it now, with all that it started; nothing is left of it."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
                remove(self.command, self._name)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def remove(command: Sequence[str], name: str) -> None:
    """Remove the container of a command whose own process was killed, if it is one."""
    if command[0] != "docker":
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["docker", "rm", "--force", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_REMOVE_S,
            check=False,
        )


def read_watch(scratch: Path) -> list[dict[str, Any]]:
    """The watch lines of a client that has ended; a line that is not whole is left out."""
    rows = []
    with contextlib.suppress(OSError):
        for line in (scratch / WATCH).read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]
