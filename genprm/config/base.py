"""What every section of a config is: frozen, unknown keys refused, a sentence under each field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, docstrings under the fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def check_greedy(temperature: float, samples: int, key: str) -> None:
    if temperature == 0 and samples > 1:
        raise ValueError(f"temperature 0 gives the same text {samples} times; set {key} to 1")
