"""What every part of the facts is made of: a frozen, strictly typed model, and bounded texts and counts."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
# A resource limit; -1 stands for unlimited.
Limit = Annotated[int, Field(ge=-1, le=2**63 - 1)]


class Part(BaseModel):
    """A frozen, strictly typed piece of the facts."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True, hide_input_in_errors=True
    )
