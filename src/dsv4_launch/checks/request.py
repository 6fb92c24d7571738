"""What has to be looked at on a host before a plan can be judged there."""

from dsv4_launch.checks.container import LABEL_PREFIX
from dsv4_launch.facts import Request
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Places, Word, fill


def request_for(plan: Plan, places: Places, *, network: bool = False) -> Request:
    """Everything that the checks of this plan need, and nothing else; the network only when asked."""
    docker = plan.target == "docker"
    model = plan.model
    hub_cache = _hub_cache(plan, places)
    caches = _source(plan, "caches")
    paths = [("caches", fill(caches, places) if caches is not None else places["dsv4_cache"])]
    if model.local:
        folder = _source(plan, "model") if docker else model.served
        paths.append(("model", fill(folder or model.served, places)))
    else:
        paths.append(("weights", hub_cache))
    return Request(
        gpus=plan.gpus.count > 0,
        docker=docker,
        images=(plan.container.image,) if docker else (),
        containers=(plan.name,) if docker else (),
        label_prefix=LABEL_PREFIX,
        executable=None if docker else fill(plan.native.executable, places),
        paths=tuple(paths),
        ports=((plan.host, plan.port),),
        hub_cache=None if model.local else hub_cache,
        repos=() if model.local else ((model.repo, model.revision or None),),
        token_env=(plan.hf_token_env or None) if model.gated else None,
        network=network,
        variables=tuple(v.env_from for v in plan.environment if v.value is None and v.env_from),
    )


def _hub_cache(plan: Plan, places: Places) -> str:
    """The Hub's cache as the server will see it: below what is mounted for weights, or of the caller."""
    source = _source(plan, "weights")
    folder = fill(source, places) if source is not None and plan.target == "docker" else places["hf_home"]
    return folder if folder.rstrip("/").endswith("/hub") else f"{folder.rstrip('/')}/hub"


def _source(plan: Plan, purpose: str) -> Word | None:
    return next((bind.source for bind in plan.container.binds if bind.purpose == purpose), None)
