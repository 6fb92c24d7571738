from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.checks.without import Held, without
from dsv4_launch.facts import Container, Docker, Gpu, GpuProcess, HostFacts, Port

OURS = Held("x", frozenset({7, 8}), 8000)


def gpu(*processes: GpuProcess, free: int = 10_000) -> Gpu:
    return Gpu(index=0, memory_total_mib=180_000, memory_free_mib=free, processes=processes)


def host(**parts: object) -> HostFacts:
    return HostFacts(origin="constructed", **parts)  # type: ignore[arg-type]


def test_what_it_holds_of_a_gpu_is_free_and_what_others_hold_is_not() -> None:
    other = GpuProcess(pid=9, used_mib=1000)
    facts = host(gpus=(gpu(GpuProcess(pid=7, used_mib=160_000), other),))
    (found,) = without(facts, OURS).gpus or ()
    assert (found.memory_free_mib, found.processes) == (170_000, (other,))


def test_where_the_driver_does_not_tell_a_gpu_becomes_free_only_if_nobody_else_uses_it() -> None:
    alone = without(host(gpus=(gpu(GpuProcess(pid=7)),)), OURS).gpus or ()
    shared = without(host(gpus=(gpu(GpuProcess(pid=7), GpuProcess(pid=9)),)), OURS).gpus or ()
    assert (alone[0].memory_free_mib, shared[0].memory_free_mib) == (180_000, 10_000)


def test_what_was_not_read_stays_unread() -> None:
    facts = host(gpus=(Gpu(index=0),))
    assert without(facts, OURS) == facts
    assert without(host(), OURS) == host()


def test_its_port_is_free_by_its_pid_or_by_its_container() -> None:
    ports = {"127.0.0.1:8000": Port(free=False, pid=7), "127.0.0.1:9": Port(free=False, pid=7)}
    found = without(host(ports=ports), OURS).ports or {}
    assert (found["127.0.0.1:8000"].free, found["127.0.0.1:9"].free) == (True, False)
    taken = {"127.0.0.1:8000": Port(free=False, pid=99, process="docker-proxy")}
    docker = Docker(
        engine="ready", published={"127.0.0.1:8000": "x"}, containers={"x": Container(id="a", state="running")}
    )
    after = without(host(ports=taken, docker=docker), OURS)
    assert after.ports is not None
    assert after.docker is not None
    assert after.ports["127.0.0.1:8000"].free
    assert (after.docker.published, after.docker.containers) == ({}, {"x": None})


def test_the_port_of_another_container_stays_taken() -> None:
    taken = {"127.0.0.1:8000": Port(free=False, pid=99, process="docker-proxy")}
    docker = Docker(engine="ready", published={"127.0.0.1:8000": "other"}, containers={})
    after = without(host(ports=taken, docker=docker), OURS)
    assert after.ports == taken
    assert after.docker == docker


@given(st.integers(0, 200_000), st.lists(st.tuples(st.sampled_from([7, 8, 9]), st.none() | st.integers(0, 200_000))))
def test_free_memory_never_shrinks_and_never_exceeds_what_there_is(
    free: int, held: list[tuple[int, int | None]]
) -> None:
    processes = tuple(GpuProcess(pid=pid, used_mib=used) for pid, used in held)
    (found,) = without(host(gpus=(gpu(*processes, free=min(free, 180_000)),)), OURS).gpus or ()
    assert min(free, 180_000) <= (found.memory_free_mib or 0) <= 180_000
    assert not {p.pid for p in found.processes or ()} & OURS.pids
