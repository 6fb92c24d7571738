"""What to look at on a host."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at on a host. Nothing that is not asked for is looked at; names, never secrets, go in.

    `paths` are (purpose, path): facts are kept by purpose, so that they can be judged where the path is another.
    """

    gpus: bool = False
    docker: bool = False
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    label_prefix: str = "dsv4"
    executable: str | None = None
    paths: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    hub_cache: str | None = None
    repos: tuple[tuple[str, str | None], ...] = ()
    token_env: str | None = None
    variables: tuple[str, ...] = ()
    network: bool = False
