"""`dsv4 smoke`: does a running server answer, and rightly?"""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("smoke")(smoke)


def smoke(
    name: options.Name = None,
    url: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--url", metavar="URL", help="Test this server instead of a deployment.", show_default=False),
    ] = None,
    model: options.ServedModel = None,
    key_env: options.KeyVariable = None,
    skip: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--skip", metavar="CHECK=REASON", help="Leave this check out; the reason stands in the report."),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option("--prompt-tokens", metavar="N", min=512, help="Length of the long prompt.")
    ] = 32_768,
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="The weights are random: judge the protocol only.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long one answer may take.")
    ] = 300.0,
    junit: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--junit", metavar="FILE", help="Write the report as JUnit XML too.", show_default=False),
    ] = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Test a running server as its clients use it: chat, thinking, tools, JSON, stops, load, cache, cancelling, key.

    Each check passes, fails (and names the known failure that it shows) or does not apply, with the reason. It asks
    through the official openai client: `pip install 'dsv4-launch[smoke]'`. Of a rehearsal, whose weights are random,
    only the protocol is judged.

    Exit 0: nothing failed. 3: the XML cannot be written. 5: no such deployment, or it is down. 6: no openai package.
    8: a check failed, or the server cannot be asked.

    Example: dsv4 smoke flash-b200 --junit smoke.xml

    Example: dsv4 smoke --url http://127.0.0.1:8000 --key-env MY_KEY
    """
    from dsv4_launch.cli.service import smoking
    from dsv4_launch.run.smoke.suite import Wanted

    wanted = Wanted(model or "", True if rehearsal else None, prompt_tokens, timeout, smoking.parse_skips(skip or ()))
    return smoking.test(name, url, key_env, target, wanted, junit, output)
