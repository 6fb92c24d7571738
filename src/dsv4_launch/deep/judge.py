"""Runs beside vLLM and asks it: would this `vllm serve` command line start, on GPUs of this type?

One file, standard library and vLLM only; it installs nothing, downloads nothing and loads no weights. It reads one JSON
request on standard input and writes one JSON line for the release and one for each command:

    {"gpu": {"name": "NVIDIA B200", "capability": [10, 0], "memory_mib": 183359, "count": 8},
     "model": "/folder/with/config.json", "until": "engine", "commands": [{"id": "a", "words": ["MODEL", "--…"]}]}

    {"vllm": "0.32.0+cpu", "stages": ["parse", "serve", "engine", "names"], "import_s": 7.9}
    {"id": "a", "ok": false, "stage": "engine", "type": "ValidationError", "said": "…", "ms": 140}

The stages are vLLM's own, in its own order: ``parse`` its argument parser, ``serve`` what `vllm serve` checks of the
arguments, ``engine`` the engine configuration, ``names`` the parsers that are named. The GPUs are simulated: the
current platform becomes a subclass of vLLM's CUDA platform that answers for them. A command is judged in a forked
process, so that nothing it sets stays behind.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import logging
import os
import re
import select
import signal
import sys
import tempfile
import time
import traceback
import types
from typing import Any

STAGES = ("parse", "serve", "engine", "names")
LIMIT_S = 60.0
# Parts that want a driver to load, and parts that only a CUDA build brings along.
_COMPILED = r"vllm\.(_\w*C\w*|cumem_allocator|vllm_flash_attn\._\w+)"
_BROUGHT = r"vllm\.(third_party|vllm_flash_attn)(\.\w+)+|humming(\.\w+)*"
_NOT_THERE = (  # vLLM asks the Hub for what no folder here has: nothing is known then
    "OfflineModeIsEnabled|LocalEntryNotFound|outgoing traffic has been disabled|couldn't connect|offline mode"
    "|Invalid repository ID|Failed to import Ray|is not a local folder and is not a valid model"
    "|Can't load the configuration|Repo id must|HFValidationError|cached snapshot folder"
)


class Launched(Exception):
    """`vllm serve` came to where it would start a server."""


class _StandIn(types.ModuleType):
    """In place of a compiled part of vLLM that needs a driver to load; nothing of it is called here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        return True

    def __or__(self, other: Any) -> Any:
        return Any

    __ror__ = __getitem__ = __or__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return ()


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for modules of these names."""

    def __init__(self, names: str) -> None:
        self.names = re.compile(names)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:  # noqa: ARG002
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if self.names.fullmatch(name) else None

    def create_module(self, spec: Any) -> types.ModuleType:
        module = _StandIn(spec.name)
        module.__file__ = f"<{spec.name}>"
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing runs."""


def simulate(gpu: dict[str, Any]) -> None:
    """Make the described GPUs vLLM's platform. Must come before anything else of vLLM is imported."""
    sys.meta_path.insert(0, _StandIns(_COMPILED))
    sys.meta_path.append(_StandIns(_BROUGHT))
    import vllm.platforms
    from vllm.platforms import cuda
    from vllm.platforms.interface import DeviceCapability

    capability = DeviceCapability(*gpu["capability"])

    class Simulated(cuda.CudaPlatformBase):  # type: ignore[misc]
        """GPUs that are not there."""

        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> Any:  # noqa: ARG003
            return capability

        @classmethod
        def get_device_name(cls, device_id: int = 0) -> str:  # noqa: ARG003
            return str(gpu["name"])

        @classmethod
        def get_device_uuid(cls, device_id: int = 0) -> str:
            return f"GPU-{device_id:08d}"

        @classmethod
        def get_device_total_memory(cls, device_id: int = 0) -> int:  # noqa: ARG003
            return int(gpu["memory_mib"]) << 20

        @classmethod
        def device_count(cls) -> int:
            return int(gpu["count"])

        @classmethod
        def is_fully_connected(cls, physical_device_ids: list[int]) -> bool:  # noqa: ARG003
            return True

        @classmethod
        def num_compute_units(cls, device_id: int = 0) -> int:  # noqa: ARG003
            return int(gpu.get("compute_units", 148))

        @classmethod
        def is_integrated_gpu(cls, device_id: int = 0) -> bool:  # noqa: ARG003
            return False

        @classmethod
        def is_pin_memory_available(cls) -> bool:
            return True

        @classmethod
        def get_cuda_runtime_major(cls) -> int:
            return 13

        @classmethod
        def get_device_numa_node(cls, device_id: int = 0) -> None:  # noqa: ARG003
            return None

        @classmethod
        def get_all_device_numa_nodes(cls) -> None:
            return None

        @classmethod
        def log_warnings(cls) -> None:
            """There is nothing to warn of."""

    vllm.platforms._current_platform = Simulated()
    _stand_in_for_torch(gpu)
    import vllm.distributed.device_communicators.cuda_wrapper
    import vllm.triton_utils

    vllm.distributed.device_communicators.cuda_wrapper.CudaRTLibrary = _StandIn("CudaRTLibrary")
    # Without a driver vLLM takes Triton for missing, and refuses what wants it. None of its kernels runs here.
    vllm.triton_utils.HAS_TRITON = vllm.triton_utils.importing.HAS_TRITON = True
    from vllm.model_executor.models import registry

    # A model class is looked at in a process of its own, which would find no GPU. Here no device is touched anyway.
    registry._run_in_subprocess = _look


_unseen: list[str] = []  # why a model class could not be looked at: vLLM itself says only "check the logs"


def _look(look: Any) -> Any:
    try:
        return look()
    except Exception:
        _unseen.append(traceback.format_exc(limit=-3).strip())
        raise


def _stand_in_for_torch(gpu: dict[str, Any]) -> None:
    """What vLLM asks torch for, when torch has no driver: the kernels' names, and the devices."""
    import torch

    namespace = type(torch.ops.aten)
    real, register = namespace.__getattr__, torch.library.register_fake

    def kernel(self: Any, name: str) -> Any:
        try:
            return real(self, name)
        except AttributeError:
            if name.startswith("__") or not re.fullmatch(r"_?\w*_C\w*", self.name):
                raise
            # What a kernel supports is asked of the kernel itself.
            return _StandIn(f"{self.name}.{name}")

    def register_fake(op: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(op, str) and op.startswith("_") and "_C" in op:
            return lambda function: function
        return register(op, *args, **kwargs)

    namespace.__getattr__ = kernel
    torch.library.register_fake = register_fake
    memory, count = int(gpu["memory_mib"]) << 20, int(gpu["count"])
    properties = types.SimpleNamespace(
        total_memory=memory,
        name=gpu["name"],
        major=gpu["capability"][0],
        minor=gpu["capability"][1],
        multi_processor_count=int(gpu.get("compute_units", 148)),
    )
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: count
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_capability = lambda *_: tuple(gpu["capability"])
    torch.cuda.get_device_name = lambda *_: gpu["name"]
    torch.cuda.get_device_properties = lambda *_: properties
    torch.cuda.mem_get_info = lambda *_: (memory, memory)
    if torch.version.cuda is None:
        torch.version.cuda = "13.0"


class Captured(Exception):
    """Carries the command's top parser out of `vllm`'s main function."""


def command_line() -> tuple[argparse.ArgumentParser, Any]:
    """The parser of `vllm` and its `serve` command, as `vllm`'s own main function builds them."""
    from vllm.entrypoints.cli.main import main

    real = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        raise Captured(self)

    argparse.ArgumentParser.parse_args = stop  # type: ignore[method-assign]
    sys.argv = ["vllm", "serve", "M"]
    try:
        main()
    except Captured as caught:
        frame = next(f for f, _ in traceback.walk_tb(caught.__traceback__) if "cmds" in f.f_locals)
        return caught.args[0], frame.f_locals["cmds"]["serve"]
    finally:
        argparse.ArgumentParser.parse_args = real  # type: ignore[method-assign]
    raise RuntimeError("vllm's main function parsed no arguments")


class Judge:
    """vLLM, imported once, asked about many command lines."""

    def __init__(self, gpu: dict[str, Any], model: str, until: str) -> None:
        simulate(gpu)
        self.top, self.serve = command_line()
        self.model, self.until = model, until
        # `vllm serve` must end where it would start something.
        inside = self.serve.cmd.__globals__
        for name in [n for n in inside if n.startswith(("run_", "serve_"))]:
            inside[name] = self._launched

    def _launched(self, *_: Any, **__: Any) -> Any:
        raise Launched

    def stage_parse(self, words: list[str]) -> argparse.Namespace:
        return self.top.parse_args(["serve", *words])

    def stage_serve(self, args: argparse.Namespace) -> None:
        self.serve.validate(args)
        try:
            args.dispatch_function(args)
        except Launched:
            return

    def stage_engine(self, args: argparse.Namespace) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext

        headless = bool(getattr(args, "headless", False))
        if self.model and not os.path.isdir(args.model):  # noqa: PTH112
            args.served_model_name = args.served_model_name or [args.model]
            args.model = self.model
        made = AsyncEngineArgs.from_cli_args(args)
        return made.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER, headless=headless)

    def stage_names(self, args: argparse.Namespace) -> None:
        for place in ("common.cli_args", "launchers.launcher", "openai.api_server"):
            with contextlib.suppress(ImportError):
                found = getattr(importlib.import_module(f"vllm.entrypoints.{place}"), "validate_api_server_args", None)
                if found is not None:
                    found(args)
                    return

    def verdict(self, words: list[str]) -> dict[str, Any]:
        """What vLLM says of one command line; the stage is the one that refused, or the last one."""
        started, stage = time.monotonic(), "parse"
        heard = io.StringIO()
        facts: dict[str, Any] = {}
        try:
            with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
                args = self.stage_parse(words)
                if self.until != "parse":
                    stage = "serve"
                    self.stage_serve(args)
                if self.until in ("engine", "names"):
                    stage = "engine"
                    facts = interesting(self.stage_engine(args))
                if self.until == "names":
                    stage = "names"
                    self.stage_names(args)
        except SystemExit as stopped:
            if stopped.code:
                return self._no(stage, "SystemExit", heard.getvalue(), started)
        except BaseException as error:
            return self._no(stage, type(error).__name__, _text(error), started)
        return {"ok": True, "stage": stage, "facts": facts, "ms": _ms(started)}

    def _no(self, stage: str, kind: str, text: str, started: float) -> dict[str, Any]:
        if kind == "SystemExit":
            text = text.rpartition(": error: ")[2]
        unknown = stage == "engine" and (bool(_unseen) or re.search(_NOT_THERE, text + kind) is not None)
        text = "\n".join([text, *_unseen]) if stage == "engine" else text
        said = "\n".join(line for line in text.strip().splitlines() if line.strip())[-2000:]
        return {"ok": None if unknown else False, "stage": stage, "type": kind, "said": said, "ms": _ms(started)}

    def judge(self, words: list[str]) -> dict[str, Any]:
        """The verdict from a forked process: what a command sets, breaks or hangs on stays there."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            try:
                answer = self.verdict(words)
            except BaseException as error:
                answer = {"ok": None, "stage": "judge", "type": type(error).__name__, "said": _text(error)}
            with os.fdopen(writer, "w") as out:
                out.write(json.dumps(answer))
            os._exit(0)
        os.close(writer)
        text, ends = b"", time.monotonic() + LIMIT_S
        while select.select([reader], [], [], max(0.0, ends - time.monotonic()))[0]:
            piece = os.read(reader, 65536)
            if not piece:
                break
            text += piece
        else:
            os.kill(child, signal.SIGKILL)
        os.close(reader)
        _, status = os.waitpid(child, 0)
        try:
            return dict(json.loads(text))
        except ValueError:
            return {"ok": None, "stage": "judge", "type": "NoAnswer", "said": f"its process ended with status {status}"}


def interesting(config: Any) -> dict[str, Any]:
    """What vLLM decided by itself and a reader may want to know."""
    paths = {
        "max_model_len": "model_config.max_model_len",
        "kv_cache_dtype": "cache_config.cache_dtype",
        "block_size": "cache_config.block_size",
        "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
        "max_num_seqs": "scheduler_config.max_num_seqs",
        "world_size": "parallel_config.world_size",
        "cudagraph_mode": "compilation_config.cudagraph_mode",
        "compilation_mode": "compilation_config.mode",
        "use_v2_model_runner": "use_v2_model_runner",
        "async_scheduling": "scheduler_config.async_scheduling",
    }
    found: dict[str, Any] = {}
    for name, path in paths.items():
        with contextlib.suppress(Exception):
            value = functools.reduce(getattr, path.split("."), config)
            found[name] = value if isinstance(value, (bool, int, str)) and "." not in str(value) else str(value)
    return found


def _text(error: BaseException) -> str:
    return str(error) or repr(error)


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _prepare() -> None:
    """No network, no telemetry, few words. What the caller set stays."""
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_PLUGINS": "",
        "VLLM_CACHE_ROOT": tempfile.mkdtemp(prefix="dsv4-judge-"),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)
    logging.disable(logging.CRITICAL if "DSV4_JUDGE_DEBUG" not in os.environ else logging.NOTSET)


def main() -> None:
    request = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever vLLM prints is not an answer
    _prepare()
    started = time.monotonic()
    judge = Judge(request["gpu"], request.get("model", ""), request.get("until", STAGES[-1]))
    import vllm

    head = {"vllm": vllm.__version__, "stages": STAGES, "import_s": round(time.monotonic() - started, 1)}
    out.write(json.dumps(head) + "\n")
    for words in request.get("warm", ()):
        judge.verdict(words)  # here and not in a fork: what it imports is then there for all
    for command in request["commands"]:
        out.write(json.dumps({"id": command["id"], **judge.judge(command["words"])}) + "\n")
    out.flush()
    os._exit(0)  # threads that some releases start at import must not keep us


if __name__ == "__main__":
    main()
