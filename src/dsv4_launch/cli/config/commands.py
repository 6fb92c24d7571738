"""Commands that answer from a config alone: no GPU, no vLLM, no docker, no network."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options, show


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("render-cmd")(render_cmd)
    app.command("validate")(validate)
    app.command("plan")(plan)
    app.command("schema")(schema)


def render_cmd(
    config: options.Config = None,
    target: options.TargetOption = None,
    form: Annotated[
        options.Format, typer.Option("--format", help="shell: one option a line; json: the argv array.")
    ] = options.Format.shell,
    overrides: options.Overrides = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the exact command that `serve` runs: paste-safe in any POSIX shell, no secret in it.

    The same on every machine: what only a host knows, such as its home folder, is a shell expansion
    (json: a placeholder).

    Example: dsv4 render-cmd flash-b200 --format oneline
    """
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve_to_fit
    from dsv4_launch.targets import render, shell

    rendered = render(resolve_to_fit(load_config(config, overrides, target)))
    if output is options.Output.json:
        show.envelope(
            "render-cmd",
            0,
            {"argv": rendered.command.argv, "env": rendered.command.env, "shell": shell.oneline(rendered)},
        )
        return 0
    writers = {
        options.Format.shell: shell.multiline,
        options.Format.oneline: shell.oneline,
        options.Format.json: shell.as_json,
    }
    show.say(writers[form](rendered))
    return 0


def validate(
    configs: Annotated[
        list[str], typer.Argument(metavar="CONFIG…", help="Files, folders (walked), globs, built-in names.")
    ],
    overrides: options.Overrides = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Mend what has a known remedy, in the files; comments and order stay."),
    ] = False,
    facts: options.FactsOption = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Ask the real vLLM too, on simulated GPUs: seconds, no GPU, no weights.")
    ] = False,
    python: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--python", metavar="ENV", help="With --deep: the environment, or the Python, that has vLLM."),
    ] = None,
    image: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--image", metavar="IMAGE", help="With --deep: the image that has vLLM; it is run without network."
        ),
    ] = None,
    output: Annotated[
        options.CheckOutput, typer.Option("--output", help="human, json, or github: annotations with file and line.")
    ] = options.CheckOutput.human,
) -> int:
    """Check configs: names, values, the flags of their vLLM release, and what model and GPU cannot do.

    Every problem of every file is printed. Needs no GPU, no vLLM, no docker and no network, so it belongs into CI.
    --fix applies the remedies that the catalog has, and says every change; built-in configs are never changed.

    With --facts each config is judged on that recorded host too (`dsv4 doctor --save` records one).
    With --deep vLLM itself is asked: its parser, its checks of the arguments and its engine configuration. Without
    --python and --image that is the environment of rehearsals (scripts/vllm_cpu_env.py makes it).

    Exit 0: all are valid. 3: an input is not valid. 4: valid, but no vLLM or GPU can do it. 5: not on that host.

    Example: dsv4 validate configs/ --output github
    """
    from dsv4_launch.cli.config.validating import validate_all

    where = None
    if deep or python or image:
        from dsv4_launch.cli.config.deep_options import vllm_to_ask

        where = vllm_to_ask(deep=deep, python=python, image=image)
    return validate_all(configs, overrides or [], output, fix=fix, facts=facts, deep=where)


def plan(
    config: options.Config = None,
    target: options.TargetOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say for every value why it has it.")] = False,
    overrides: options.Overrides = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the resolved plan: what will run, and with --explain why, and where it differs from the documented page.

    Example: dsv4 plan flash-b200-0.33 --explain
    """
    from dsv4_launch.cli.config.planning import show_plan
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve_to_fit

    resolved = resolve_to_fit(load_config(config, overrides, target))
    if output is options.Output.json:
        from dsv4_launch.plan.fit.planner import fit
        from dsv4_launch.values import to_data

        show.envelope("plan", 0, {**to_data(resolved), "fit": fit(resolved)})
    else:
        show_plan(resolved, explain=explain)
    return 0


def schema(
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the JSON Schema of a config, for editors and other tools.

    Example: dsv4 schema > schema.json
    """
    import json

    from dsv4_launch.config.model import LaunchConfig

    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **LaunchConfig.model_json_schema()}
    if output is options.Output.json:
        show.envelope("schema", 0, document)
    else:
        show.say(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
