"""`dsv4 pin`: the image's digest and the model's commit, written into a config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsv4_launch.cli import options, show

if TYPE_CHECKING:
    from dsv4_launch.config.load import Loaded
    from dsv4_launch.run.pin import Pins, Source


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("pin")(pin)


def pin(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="The config file to pin.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 10 when not pinned, or the registry says otherwise.")
    ] = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Write the image's digest and the model's commit into a config, so that it means the same tomorrow.

    Both are read from their registries: the image's through the Docker engine (with its proxy and logins), the model's
    from the Hub (HF_ENDPOINT, and the token that secrets.hf_token names). The tag stays readable beside the digest;
    comments and layout of the file stay. Nothing is written unless both were read.

    A tag is read anew each time. A commit that is there already stays: delete model.revision to move on to the newest.

    Exit 3: a built-in config or bad input. 4: nothing to pin. 6: a registry or the engine cannot be asked. 10: --check.

    Example: dsv4 pin my.yaml && git diff my.yaml

    Example: dsv4 pin my.yaml --check
    """
    from dsv4_launch.cli.configs import builtins, load_config, read
    from dsv4_launch.config.edit import edit
    from dsv4_launch.config.load import load
    from dsv4_launch.errors import GateError, InputError
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run import pin as pinning

    loaded = load_config(config)
    if not check and not Path(config).exists() and config in builtins():
        raise InputError(
            f"{config} is a built-in config; those are not edited in place.",
            where=config,
            fix=f"`dsv4 show --builtin {config} > my.yaml`, then `dsv4 pin my.yaml`.",
            code="built-in",
        )
    plan = resolve(loaded)
    source = pinning.source_of(plan, loaded.config)
    missing = pinning.unpinned(source, loaded.origins.where) if check else []
    if missing:
        raise GateError(*missing)
    pins = _read(source, loaded, check=check)
    changes = pinning.changes_of(loaded.config, plan.model.key, source, pins)
    if check:
        _compare(source, pins, loaded)
        _tell(config, loaded, source, pins, output, written=False)
        return 0
    before = read(Path(config), config)
    after = edit(before.decode(), changes, config)
    now = load(after, config)
    resolve(now)
    written = after.encode() != before
    if written:
        pinning.write(Path(config), before, after.encode())
    _tell(config, now, source, pins, output, written=written)
    return 0


def _read(source: Source, loaded: Loaded, *, check: bool) -> Pins:
    """Ask both registries."""
    from dsv4_launch.errors import GateError, InputError
    from dsv4_launch.run import pin as pinning

    commit = newest = image = ""
    where = loaded.origins.where
    if source.repo:
        try:
            commit, newest = pinning.read_commit(
                source, os.environ, loaded.config.secrets.hf_token, where(("model", "revision"))
            )
        except InputError as error:
            if check:  # the config is not wrong by itself: the Hub says something else
                raise GateError(*error.problems) from None
            raise
    if source.image:
        image = pinning.read_image(_client(), source)
    return pinning.Pins(image, commit, newest)


def _client() -> Any:
    """A client of the engine. Raises ToolError: without an engine there is nobody to ask."""
    from dsv4_launch.cli.drivers import client
    from dsv4_launch.errors import HostError, Problem, ToolError

    try:
        return client()
    except HostError as error:
        (found,) = error.problems
        fix = f"{found.fix} The image's registry is asked through it; without one, pin on a machine that has one."
        raise ToolError(Problem(found.code, found.message, found.where, fix)) from None


def _compare(source: Source, pins: Pins, loaded: Loaded) -> None:
    """Raise GateError when the registry has another digest for the tag."""
    from dsv4_launch.errors import GateError

    digest = pins.image.partition("@")[2]
    if source.image and digest != source.image_digest:
        raise GateError(
            f"The config has {source.image_digest} for {source.image}; its registry says {digest}.",
            where=loaded.origins.where(("container", "image")),
            fix="The tag was moved. `dsv4 pin` writes the new digest, if that is what you want.",
            code="image-moved",
        )


def _tell(config: str, loaded: Loaded, source: Source, pins: Pins, output: options.Output, *, written: bool) -> None:
    from dsv4_launch.run.pin import hub_of

    if output is options.Output.json:
        data = {"file": config, "written": written, "image": pins.image, "repo": source.repo, "commit": pins.commit}
        show.envelope("pin", 0, {**data, "newest_commit": pins.newest})
        return
    where = loaded.origins.where
    if pins.commit:
        at = where(("model", "revision"))
        show.say(f"{at}: model {source.repo} at {pins.commit}, as {hub_of(os.environ)} says")
    if pins.image:
        show.say(f"{where(('container', 'image'))}: image {pins.image}, as its registry says")
    if pins.commit != pins.newest:
        show.note(f"The newest commit of {source.repo} is {pins.newest}; the config stays at its own.")
    show.say(f"{config}: {'written' if written else 'pinned, unchanged'}")
