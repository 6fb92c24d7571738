"""The right to fetch the checkpoint."""

from dsv4_launch.checks.base import Context, Finding, check
from dsv4_launch.checks.network import asked
from dsv4_launch.checks.storage import snapshot


@check("MDL001", applies=lambda plan: plan.model.gated and not plan.model.local)
def hub_token(context: Context) -> Finding | None:
    """A Hub token is there when a gated checkpoint has to be fetched. Its value is never looked at."""
    cached = snapshot(context)
    if cached is not None and cached.complete:
        return None
    hub = context.known(context.facts.hub, "hub")
    if context.known(hub.token_present, "hub.token_present"):
        return None
    name, repo = context.plan.hf_token_env, context.plan.model.repo
    fix = f"accept its terms at https://huggingface.co/{repo}, then `export {name}=…` or `hf auth login`"
    return Finding(f"{repo} is gated, and there is no Hub token here (neither {name} nor a token file)", fix)


@check("MDL002", applies=lambda plan: plan.model.local)
def local_checkpoint(context: Context) -> Finding | None:
    """The folder of a local checkpoint is there.

    A bind mount of a folder that does not exist makes docker create it, empty.
    """
    disks = context.known(context.facts.disks, "disks")
    disk = context.known(disks.get("model"), "disks.model")
    if disk.exists:
        return None
    fix = (
        "make the rehearsal model with `scripts/rig`"
        if context.plan.rehearsal
        else "correct `model.path` in the config"
    )
    return Finding(f"There is no checkpoint at {disk.path}", fix)


@check("MDL003", unread="warning", applies=lambda plan: not plan.model.local)
def token_may_read(context: Context) -> Finding | None:
    """The Hub lets this token (or nobody in particular) read the checkpoint. Looked at only with `--network`."""
    network = asked(context)
    cached = snapshot(context)
    if cached is not None and cached.complete:
        return None
    repo, name = context.plan.model.repo, context.plan.hf_token_env
    answer = context.known(network.access.get(repo), f"network.access.{repo}")
    if answer == "yes":
        return None
    fix = f"accept its terms at https://huggingface.co/{repo} with the account whose token is in {name or 'HF_TOKEN'}"
    return Finding(f"{repo} cannot be read from here ({answer})", fix)
