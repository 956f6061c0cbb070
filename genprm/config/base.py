"""What all sections of a config share: frozen, unknown keys refused, a sentence under each field.

A field says by two marks what it means for the rows that a stage writes: `SPEED_ONLY` if it does
not decide them, `NAMES_A_MODEL` if its value is a model, whose weights decide them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from genprm.models.names import model_identity

SPEED_ONLY: JsonDict = {"decides": False}
NAMES_A_MODEL: JsonDict = {"model": True}


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, docstrings under the fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    def deciding(self, path: str) -> Iterator[tuple[str, Any]]:
        """The dotted key and JSON value of every field that decides rows, in the order of the
        fields. `path` is the section's own key. A model counts by its weights where it is a
        directory, by its name elsewhere."""
        values = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            marks = field.json_schema_extra
            marks = marks if isinstance(marks, dict) else {}
            key, value = f"{path}.{name}", getattr(self, name)
            if marks.get("decides") is False:
                continue
            if isinstance(value, Section):
                yield from value.deciding(key)
            elif marks.get("model") and value is not None:
                yield key, named_model(value)
            else:
                yield key, values[name]


def named_model(name: str) -> str:
    """A model as what it decides: a name, or `weights` and a hash of those of a directory."""
    identity = model_identity(name)
    return name if identity == name else f"weights {identity}"


def check_greedy(temperature: float, samples: int, key: str) -> None:
    """ValueError if the same text would be sampled several times."""
    if temperature == 0 and samples > 1:
        raise ValueError(f"temperature 0 gives the same text {samples} times; set {key} to 1")
