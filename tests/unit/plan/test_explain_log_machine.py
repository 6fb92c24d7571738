"""Deaths of the machine, its driver and its tools, told in whole logs: the words of others between vLLM's own."""

from __future__ import annotations

import pytest

from dsv4_launch.plan.explain_log import explain_log

VLLM = "(EngineCore_DP0 pid=271) ERROR 11-25 16:21:00 [core.py:936] "
END = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"

LOGS = {
    "a driver that was upgraded under the server": (
        """docker: Error response from daemon: failed to create task for container: failed to create shim task:
 OCI runtime create failed: runc create failed: unable to start container process: error during container init: error
 running prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'
nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown.""",
        "D93",
    ),
    "a driver that is not there": (
        """docker: Error response from daemon: failed to create shim task: OCI runtime create failed: error running
 hook #0: nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared
 object file""",
        "D68",
    ),
    "a toolkit older than cgroup v2": (
        """docker: Error response from daemon: OCI runtime create failed: error running hook: exit status 1, stdout: ,
 stderr: nvidia-container-cli: container error: cgroup subsystem devices not found: unknown.""",
        "D157",
    ),
    "a docker that may not set the rules of devices": (
        """docker: Error response from daemon: error running prestart hook #0: exit status 1, stdout: , stderr:
nvidia-container-cli: mount error: failed to add device rules: unable to find any existing device filters attached to
 the cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted: unknown""",
        "D157",
    ),
    "a mount that failed": ("nvidia-container-cli: mount error: file creation failed: /run/x: no such file", "D68"),
    "a container that lost its devices": (
        f"""{VLLM}RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing
 env variable CUDA_VISIBLE_DEVICES after program start. Setting the available devices to be zero.
Failed to initialize NVML: Unknown Error
{END}""",
        "D94",
    ),
    "a shared memory that NCCL cannot extend": (
        f"""node7:281:412 [3] misc/shmutils.cc:87 NCCL WARN Error: failed to extend /dev/shm/nccl-ZfPrGa to 33030532
 bytes, error: No space left on device (28)
node7:281:412 [3] NCCL INFO transport/shm.cc:164 -> 2
{VLLM}RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)
{END}""",
        "D47",
    ),
    "a GPU's memory, in the words of the driver": (
        f"""{VLLM}torch.AcceleratorError: CUDA error: out of memory
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
node7:281:412 [3] init.cc:1890 NCCL WARN Cuda failure 2 'out of memory'
{END}""",
        "D69",
    ),
    "an NVLink that broke": (
        """[rank2]: torch.AcceleratorError: CUDA error: uncorrectable NVLink error detected during the execution
[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690, remote process exited""",
        "D67",
    ),
    "an image for other GPUs": (
        f"""{VLLM}torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
{END}""",
        "D95",
    ),
    "an image for other processors": ("exec /usr/local/bin/vllm: exec format error", "D95"),
    "no compiler for FlashInfer": (
        f"""{VLLM}RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist
{END}""",
        "D96",
    ),
    "no compiler for Triton": (
        f"""{VLLM}torch._inductor.exc.InductorError: RuntimeError: Failed to find C compiler. Please specify via CC
 environment variable or set triton.knobs.build.impl.
{END}""",
        "D96",
    ),
    "a root that may only be read": (
        f"""{VLLM}OSError: [Errno 30] Read-only file system: '/usr/local/share/x'
{END}""",
        "D97",
    ),
    "host memory that is refused": (
        """terminate called after throwing an instance of 'std::bad_alloc'
  what():  std::bad_alloc""",
        "D72",
    ),
    "a worker that the kernel killed": (
        "(EngineCore pid=271) ERROR [x.py:381] Worker proc VllmWorker-2 died unexpectedly (exit code: -9)"
        ", shutting down executor.",
        "D72",
    ),
    "a worker that crashed": (
        "(EngineCore pid=271) ERROR [x.py:381] Worker proc VllmWorker-2 died unexpectedly (exit code: -11)"
        ", shutting down executor.",
        "D84",
    ),
    "a limit of Slurm": ("slurmstepd: error: Detected 1 oom_kill event in StepId=93.0.", "D72"),
    "a Hub that counts": (
        "huggingface_hub.errors.HfHubHTTPError: Client error '429 Too Many Requests' for url 'https://huggingface.co/x'",
        "D77",
    ),
    "a Hub that is ill": ("requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: x", "D77"),
    "a proxy that looks inside": (
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed",
        "D89",
    ),
    "a port that docker cannot have": (
        "Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use.",
        "D82",
    ),
    "a socket that this user may not use": (
        "dial unix /var/run/docker.sock: connect: permission denied",
        "D88",
    ),
    "a transformers that is too old": (
        "ValueError: The checkpoint you are trying to load has model type `deepseek_v4` but Transformers does not "
        "recognize this architecture.",
        "D99",
    ),
}


@pytest.mark.parametrize("case", LOGS)
def test_what_the_machine_did_comes_first(case: str) -> None:
    text, advisory = LOGS[case]
    lines = ["INFO 11-25 16:20:00 [api_server.py:1] vLLM API server version 0.20.0", *text.splitlines(), "", "bye"]
    found = [match.advisory.id for match in explain_log(lines, gpu="b200")]
    assert found[:1] == [advisory], found
    assert all(match.known_here for match in explain_log(lines, gpu="cpu") if match.advisory.generic)


@pytest.mark.parametrize(
    "line",
    [
        'INFO:     127.0.0.1:47010 - "GET /health HTTP/1.1" 503 Service Unavailable',
        'INFO:     127.0.0.1:47010 - "POST /v1/chat/completions HTTP/1.1" 429 Too Many Requests',
        'INFO:     127.0.0.1:47010 - "POST /v1/chat/completions HTTP/1.1" 401 Unauthorized',
        "WARNING 11-25 16:20:00 [parallel.py:593] Address already in use. Retrying with a new port.",
        "(EngineCore pid=1) ERROR [x.py:315] Worker proc VllmWorker-0 died unexpectedly (exit code: 0), x",
        "node7:281:412 [3] NCCL INFO NET/IB : No device found.",
        'node7:281:412 [3] NCCL WARN Missing "iommu=pt" from kernel command line which can lead to system instability',
        "[   12.3] EXT4-fs (sda1): mounted filesystem with ordered data mode",
    ],
)
def test_what_a_healthy_server_says_too_is_no_death(line: str) -> None:
    assert explain_log([line]) == ()
