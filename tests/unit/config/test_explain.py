"""What is said of a wrong field: for every table that a config may hold, the fields that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from dsv4_launch.config.load import Origins, from_data
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.errors import InputError


def tables(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Every table below a model that has no free keys, by its path; of a list the table that is its item."""
    for name, field in model.model_fields.items():
        for kind in models(field.annotation):
            if kind.model_config.get("extra") == "forbid":
                yield (*path, name), kind
            yield from tables(kind, (*path, name))


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


TABLES = {".".join((*path, table.__name__)): (path, table) for path, table in tables(LaunchConfig)}


@pytest.mark.parametrize("name", TABLES)
def test_a_wrong_field_of_any_table_gets_the_fields_that_there_are(name: str):
    path, table = TABLES[name]
    data: Any = {"nonsense": 1}
    if path == ("target",):
        data["type"] = "native" if "Native" in name else "docker"
    if path[-1] == "mounts":
        data = (data,)
    for step in reversed(path):
        data = {step: data}
    with pytest.raises(InputError) as caught:
        from_data({"name": "x", **data}, Origins("x.yaml", {}))
    (said,) = [problem for problem in caught.value.problems if "'nonsense'" in problem.message]
    assert set(said.fix.partition("Allowed: ")[2].rstrip(".").split(", ")) == set(table.model_fields)
