"""NVML at its C boundary: a shim library built by the tests, which answers what a topology file says."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
TOPOLOGIES = HERE / "topologies"


def build_shim(folder: Path, topology: str = "b200x8") -> dict[str, str]:
    """Compile the shim into `folder` and return the environment that makes a child process find it.

    `topology` is a name under `topologies/`, or a path. Merge the result over the child's environment.
    """
    library = folder / "libnvidia-ml.so.1"
    if not library.exists():
        building = folder / f"building-{os.getpid()}.so"
        compile_shim = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", building, HERE / "nvml_shim.c"]
        subprocess.run(compile_shim, check=True)
        building.rename(library)
    return {"LD_LIBRARY_PATH": str(folder), "NVML_SHIM_FILE": str(topology_file(topology))}


def topology_file(topology: str) -> Path:
    """The file of a topology, by its name or as a path."""
    named = TOPOLOGIES / f"{topology}.txt"
    found = named if named.exists() else Path(topology)
    if not found.exists():
        raise FileNotFoundError(f"no topology {topology}: {sorted(p.stem for p in TOPOLOGIES.glob('*.txt'))}")
    return found
