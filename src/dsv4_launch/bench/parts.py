"""What every document of a benchmark run is made of: frozen, strictly typed models, and bounded texts.

A key that this version does not know is passed over: a later dsv4 may say more within the same version of the format.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=65_536)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Figure = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A frozen, strictly typed piece of a document."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, defer_build=True, hide_input_in_errors=True
    )
