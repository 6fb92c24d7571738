"""What tells one server from another when a run is taken up again."""

from __future__ import annotations

from tests.unit.bench.runs import run

from dsv4_launch.bench.results import Fingerprint
from dsv4_launch.run.bench.sweep import same_server


def test_a_client_whose_vllm_could_not_be_told_is_no_other_server() -> None:
    told, silent = Fingerprint(client_vllm="0.32.0"), Fingerprint()
    for then, now in ((told, silent), (silent, told), (told, told), (silent, silent)):
        assert same_server(run(fingerprint=then), now, run().plan_digest, run().model) == ()
    other = Fingerprint(client_vllm="0.33.0")
    found = same_server(run(fingerprint=told), other, run().plan_digest, run().model)
    assert found == ("client's vLLM: 0.32.0 then, 0.33.0 now",)
