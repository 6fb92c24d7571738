"""Runs beside vLLM and asks it: would this `vllm serve` command line start, on GPUs of this type?

One file, standard library and vLLM only; it installs nothing, downloads nothing and loads no weights. It reads one JSON
request on standard input and writes one JSON line for the release, then one for each command:

    {"gpu": {"name": "NVIDIA B200", "capability": [10, 0], "memory_mib": 183359, "count": 8},
     "model": "/folder/with/config.json", "commands": [{"id": "a", "words": ["MODEL", "--…"]}]}
    {"id": "a", "ok": false, "stage": "engine", "type": "ValidationError", "said": "…"}

``within_s`` ends it after so many seconds of judging. The stages are vLLM's own: ``parse`` its parser, ``serve`` what
`vllm serve` checks, ``engine`` the engine configuration, ``names`` the parsers. ``ok`` is null where nothing can be
known. The current platform becomes a subclass of vLLM's CUDA platform that answers for GPUs that are not there; each
command is judged in a forked process.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib.machinery
import io
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import types
from typing import Any

LIMIT_S = 60  # for one command
# Parts that want a driver to load, and parts that only a CUDA build brings along.
_COMPILED = r"vllm\.(_\w*C\w*|cumem_allocator|vllm_flash_attn\._\w+)"
_BROUGHT = r"vllm\.(third_party|vllm_flash_attn)(\.\w+)+|humming(\.\w+)*"
_NOT_THERE = (  # vLLM asks the Hub for what no folder here has: nothing is known then
    "OfflineModeIsEnabled|LocalEntryNotFound|outgoing traffic has been disabled|couldn't connect|offline mode"
    "|Invalid repository ID|Failed to import Ray|is not a local folder and is not a valid model"
    "|Can't load the configuration|Repo id must|HFValidationError|cached snapshot folder"
)
INTERESTING = """model_config.max_model_len cache_config.cache_dtype cache_config.block_size
    scheduler_config.max_num_batched_tokens scheduler_config.max_num_seqs scheduler_config.async_scheduling
    parallel_config.world_size compilation_config.cudagraph_mode use_v2_model_runner"""
ENVIRONMENT = """HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_LOGGING_LEVEL=ERROR
    VLLM_PLUGINS= TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1"""


class Stopped(Exception):
    """vLLM came to where it would parse, or start a server; the first argument is what it came with."""


def _launched(*_: Any, **__: Any) -> Any:
    raise Stopped


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


class _StandIns:
    """Finds and loads modules of these names."""

    def __init__(self, names: str) -> None:
        self.names = re.compile(names)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:  # noqa: ARG002
        spec: Any = importlib.machinery.ModuleSpec
        return spec(name, self, is_package=True) if self.names.fullmatch(name) else None

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

    answers = {
        "get_device_capability": DeviceCapability(*gpu["capability"]), "get_device_name": gpu["name"],
        "get_device_uuid": "GPU-0", "get_device_total_memory": int(gpu["memory_mib"]) << 20,
        "device_count": int(gpu["count"]), "num_compute_units": 148, "is_fully_connected": True,
        "is_integrated_gpu": False, "is_pin_memory_available": True, "get_cuda_runtime_major": 13,
        "get_device_numa_node": None, "get_all_device_numa_nodes": None, "log_warnings": None,
    }  # fmt: skip
    methods = {name: classmethod(lambda *_, _answer=answer, **__: _answer) for name, answer in answers.items()}
    vllm.platforms._current_platform = type("Simulated", (cuda.CudaPlatformBase,), methods)()
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

    namespace.__getattr__, torch.library.register_fake = kernel, register_fake
    memory, (major, minor) = int(gpu["memory_mib"]) << 20, gpu["capability"]
    device = {"total_memory": memory, "name": gpu["name"], "major": major, "minor": minor, "multi_processor_count": 148}
    answers = {
        "is_available": True, "device_count": int(gpu["count"]), "current_device": 0,
        "get_device_capability": (major, minor), "get_device_name": gpu["name"],
        "get_device_properties": types.SimpleNamespace(**device), "mem_get_info": (memory, memory),
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    torch.version.cuda = torch.version.cuda or "13.0"


def command_line() -> tuple[argparse.ArgumentParser, Any]:
    """The parser of `vllm` and its `serve` command, as `vllm`'s own main function builds them."""
    from vllm.entrypoints.cli.main import main

    real = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *_: Any, **__: Any) -> Any:
        raise Stopped(self)

    argparse.ArgumentParser.parse_args = stop  # type: ignore[method-assign]
    sys.argv = ["vllm", "serve", "M"]
    try:
        main()
    except Stopped as caught:
        frame = next(f for f, _ in traceback.walk_tb(caught.__traceback__) if "cmds" in f.f_locals)
        return caught.args[0], frame.f_locals["cmds"]["serve"]
    finally:
        argparse.ArgumentParser.parse_args = real  # type: ignore[method-assign]
    raise RuntimeError("vllm parsed no arguments")


class Judge:
    """vLLM, imported once, asked about many command lines."""

    def __init__(self, gpu: dict[str, Any], model: str) -> None:
        simulate(gpu)
        self.top, self.serve = command_line()
        self.model = model
        # `vllm serve` must end where it would start something.
        inside = self.serve.cmd.__globals__
        for name in [n for n in inside if n.startswith(("run_", "serve_"))]:
            inside[name] = _launched

    def _engine(self, args: argparse.Namespace) -> dict[str, Any]:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext

        if self.model and not os.path.isdir(args.model):  # noqa: PTH112
            args.served_model_name = args.served_model_name or [args.model]
            args.model = self.model
        made = AsyncEngineArgs.from_cli_args(args)
        return interesting(made.create_engine_config(UsageContext.OPENAI_API_SERVER, headless=bool(args.headless)))

    @staticmethod
    def _names(args: argparse.Namespace) -> None:
        for place in ("common.cli_args", "launchers.launcher", "openai.api_server"):
            with contextlib.suppress(ImportError):
                found = getattr(importlib.import_module(f"vllm.entrypoints.{place}"), "validate_api_server_args", None)
                if found is not None:
                    found(args)
                    return

    def verdict(self, words: list[str]) -> dict[str, Any]:
        """What vLLM says of one command line; the stage is the one that refused, or the last one."""
        stage, heard = "parse", io.StringIO()
        try:
            with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
                args = self.top.parse_args(["serve", *words])
                stage = "serve"
                self.serve.validate(args)
                with contextlib.suppress(Stopped):
                    args.dispatch_function(args)
                stage = "engine"
                facts = self._engine(args)
                stage = "names"
                self._names(args)
                return {"ok": True, "stage": stage, "facts": facts}
        except SystemExit:
            return self._no(stage, "SystemExit", heard.getvalue())
        except BaseException as error:
            return self._no(stage, type(error).__name__, str(error) or repr(error))

    def _no(self, stage: str, kind: str, text: str) -> dict[str, Any]:
        text = text.rpartition(": error: ")[2] if kind == "SystemExit" else text
        unknown = stage == "engine" and (bool(_unseen) or re.search(_NOT_THERE, text + kind) is not None)
        text = "\n".join([text, *(_unseen if stage == "engine" else [])])
        said = "\n".join(line for line in text.strip().splitlines() if line.strip())[-2000:]
        return {"ok": None if unknown else False, "stage": stage, "type": kind, "said": said}

    def judge(self, words: list[str]) -> dict[str, Any]:
        """The verdict from a forked process: what a command sets, breaks or hangs on stays there."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(LIMIT_S)
            os.write(writer, json.dumps(self.verdict(words)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            text = answer.read()
        silent = {"ok": None, "stage": "judge", "type": "NoAnswer", "said": f"status {os.waitpid(child, 0)[1]}"}
        return dict(json.loads(text)) if text else silent


def interesting(config: Any) -> dict[str, str]:
    """What vLLM decided by itself and a reader may want to know."""
    found = {}
    for path in INTERESTING.split():
        with contextlib.suppress(Exception):
            found[path.rpartition(".")[2]] = str(functools.reduce(getattr, path.split("."), config))
    return found


def main() -> None:
    """Answer a request on stdin: one line of JSON for each command line, as soon as vLLM has judged it."""
    request = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever vLLM prints is not an answer
    os.environ.setdefault("VLLM_CACHE_ROOT", tempfile.mkdtemp(prefix="dsv4-judge-"))
    for setting in ENVIRONMENT.split():  # no network, no telemetry, few words; what the caller set stays
        os.environ.setdefault(*setting.split("=", 1))
    logging.disable(logging.CRITICAL)
    judge = Judge(request["gpu"], request["model"])
    out.write(json.dumps({"vllm": importlib.import_module("vllm").__version__}) + "\n")
    for words in request.get("warm", ()):
        judge.verdict(words)  # here and not in a fork: what it imports is then there for all
    gc.freeze()  # a collection in a fork would touch, and so copy, all of it
    until = time.monotonic() + request.get("within_s", float("inf"))
    for command in request["commands"]:
        if time.monotonic() <= until:
            out.write(json.dumps({"id": command["id"], **judge.judge(command["words"])}) + "\n")
    out.flush()
    os._exit(0)  # threads that some releases start at import must not keep us


if __name__ == "__main__":
    main()
