"""The address that the endpoint will be published on, and the way to the Hub when that was asked for."""

from ipaddress import IPv6Address, ip_address

from dsv4_launch.catalog.thresholds import number
from dsv4_launch.checks.base import Context, Finding, NotAsked, Unknown, check
from dsv4_launch.checks.storage import snapshot
from dsv4_launch.facts import Network
from dsv4_launch.plan.secrets import KEY_VARIABLE

_CENTURY_S = 100 * 366 * 86400


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


@check("NET002", severity="warning", applies=lambda plan: not plan.model.local)
def hub_reached(context: Context) -> Finding | None:
    """The Hub answers, if weights have to come from it. Looked at only when asked (`dsv4 doctor --network`)."""
    network = asked(context)
    cached = snapshot(context)
    if network.reachable or (cached is not None and cached.complete):
        return None
    fix = "see to proxy and firewall, set HF_ENDPOINT to a mirror, or bring the weights from another node"
    return Finding(f"{network.endpoint} does not answer ({network.detail or 'no reason given'})", fix)


@check("NET003", severity="warning")
def clock_right(context: Context) -> Finding | None:
    """This machine's clock agrees with the Hub's. Looked at only when asked (`dsv4 doctor --network`)."""
    network = asked(context)
    skew_s = context.known(network.skew_s, "network.skew_s")
    if abs(skew_s) > _CENTURY_S:
        raise Unknown(f"network.skew_s is said to be {skew_s:g} s, which cannot be")
    if abs(skew_s) <= number("clock_skew_s"):
        return None
    way = "ahead" if skew_s > 0 else "behind"
    return Finding(f"The clock is {abs(skew_s):.0f} s {way}", "switch on time synchronisation (chrony, timesyncd)")


@check("NET004", applies=lambda plan: is_public(plan.host))
def key_asked_for(context: Context) -> Finding | None:
    """An endpoint that is published to others asks for a key.

    On every interface (0.0.0.0, ::), a public address or a name, whoever reaches the port can use the model; ports that
    Docker publishes bypass `ufw`. A private address of a network that you trust is only warned of (D58). The key alone
    guards /v1 and nothing else (D59), so a proxy belongs in front as well: `dsv4 proxy` prints its file. What another
    guard keeps others from may be launched with `--skip NET004=REASON`.
    """
    plan = context.plan
    if plan.api_key_env or any(variable.name == KEY_VARIABLE for variable in plan.environment):
        return None
    found = f"The endpoint would be open on {plan.host}:{plan.port} and asks for no key"
    fix = "set `server: {host: 127.0.0.1}` and put a proxy in front (`dsv4 proxy`), or `server: {api_key_env: NAME}`"
    return Finding(found, f"{fix}; `--skip NET004=REASON` if something else guards it")


def is_public(host: str) -> bool:
    """Whether others may reach an address: not loopback, and no private network's. A name may mean any address."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host != "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_unspecified or address.is_global


def asked(context: Context) -> Network:
    """The facts of the network. Raises NotAsked when nobody wanted them, Unknown when they could not be had."""
    if context.facts.network is None and "network" not in context.facts.problems:
        raise NotAsked
    return context.known(context.facts.network, "network")


def _same(published: str, address: str) -> bool:
    """Whether a published port stands in the way of an address: the same one, or either on every interface."""
    host, _, port = published.rpartition(":")
    wanted, _, wanted_port = address.rpartition(":")
    everywhere = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return port == wanted_port and (host == wanted or host in everywhere or wanted in everywhere)
