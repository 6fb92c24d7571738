"""How long a sweep will take, from two short probes of the server: one request alone, and some at once."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from dsv4_launch.bench.estimate import Probe
from dsv4_launch.bench.results import Workload
from dsv4_launch.errors import ServerError

TOGETHER = 16
_TOKENS = 48
_TIMEOUT_S = 600.0
_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class _Asked:
    url: str
    key: str
    model: str
    workload: Workload


def probe(url: str, key: str, model: str, workload: Workload, highest: int) -> tuple[Probe, ...]:
    """Probe alone, and with up to 16 at once. Raises ServerError when no answer comes."""
    asked = _Asked(url, key, model, workload)
    return tuple(_together(asked, count) for count in sorted({1, min(TOGETHER, highest)}))


def _together(asked: _Asked, count: int) -> Probe:
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda number: _one(asked, count * 1000 + number), range(count)))
    times = [one for one in found if len(one) > 1]
    if not times:
        raise ServerError("The server did not answer the probe.", where=asked.url, code="bench-probe")
    ttft_s = sum(one[0] for one in times) / len(times)
    itl_s = sum((one[-1] - one[0]) / (len(one) - 1) for one in times) / len(times)
    return Probe(count, ttft_s, itl_s)


def _one(asked: _Asked, number: int) -> Sequence[float]:
    """Seconds from sending to each piece of the answer. An error is an answer without pieces."""
    workload = asked.workload
    text = f"{number} " + " ".join(f"w{(number * 7919 + place) % 997}" for place in range(workload.input_len * 4 // 5))
    text = text[: max(8, workload.input_len * _CHARACTERS)]
    tokens = max(2, min(_TOKENS, workload.output_len or _TOKENS))
    body: dict[str, object] = {"model": asked.model, "stream": True, "ignore_eos": True}
    if workload.api == "chat":
        path = "/v1/chat/completions"
        body |= {"messages": [{"role": "user", "content": text}], "max_completion_tokens": tokens}
    else:
        path, body = "/v1/completions", body | {"prompt": text, "max_tokens": tokens}
    parts = urlsplit(asked.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {asked.key}"} if asked.key else {})
    began_s, times = time.perf_counter(), []
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}{path}", json.dumps(body), headers)
        response = connection.getresponse()
        while response.status == 200 and (line := response.readline()):
            if line.startswith(b"data:") and b'"choices":[{' in line.replace(b" ", b""):
                times.append(time.perf_counter() - began_s)
    except (OSError, http.client.HTTPException, ValueError):
        return ()
    finally:
        connection.close()
    return times
