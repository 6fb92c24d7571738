"""The address that the endpoint will be published on."""

from dsv4_launch.checks.base import Context, Finding, check


@check("NET001", requires=("CTR005",))
def port_free(context: Context) -> Finding | None:
    """The port of the endpoint is free."""
    address = f"{context.plan.host}:{context.plan.port}"
    ports = context.known(context.facts.ports, "ports")
    port = context.known(ports.get(address), f"ports.{address}")
    docker = context.facts.docker
    published = (docker.published if docker is not None else None) or {}
    container = next((name for where, name in published.items() if _same(where, address)), None)
    if port.free and container is None:
        return None
    fix = "stop it, or set `server.port` to a free one"
    if container is not None:
        return Finding(f"Port {address} is taken by container {container}", fix)
    if port.pid is not None:
        return Finding(f"Port {address} is taken by {port.process or 'a process'} (pid {port.pid})", fix)
    return Finding(f"Port {address} cannot be used ({port.detail or 'in use'})", fix)


def _same(published: str, address: str) -> bool:
    """Whether a published port stands in the way of an address: the same one, or either on every interface."""
    host, _, port = published.rpartition(":")
    wanted, _, wanted_port = address.rpartition(":")
    everywhere = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return port == wanted_port and (host == wanted or host in everywhere or wanted in everywhere)
