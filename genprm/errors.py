"""The error family: what a caller can act on, one line each.

`InputError` and `ConfigError` mean that the caller gave something wrong; the command line prints
their message and exits with 2. Everything else is a failure of ours or of the machine (exit 1).
A failed critique or rollout is not an exception: it is a row with a reason.
"""

from __future__ import annotations


class GenprmError(Exception):
    """Root of the errors that genprm raises on purpose."""


class InputError(GenprmError, ValueError):
    """Rows, files or requests that break their format.

    Args:
        message: what is wrong, in one line.
        field: the field at fault (`steps`, `items[3].votes`), where it is one.
        place: where the row is (`rows.jsonl:12`), where there is a place.

    As text it is `place: field 'steps': message`, without the parts that are None.
    """

    def __init__(self, message: str, *, field: str | None = None, place: str | None = None):
        super().__init__(message)
        self.message = message
        self.field = field
        self.place = place

    def __str__(self) -> str:
        field = None if self.field is None else f"field {self.field!r}"
        return ": ".join(part for part in (self.place, field, self.message) if part is not None)

    def at(self, place: str | None = None, field: str | None = None) -> InputError:
        """The same error with a place, a field, or both, put in where it has none."""
        return InputError(self.message, field=self.field or field, place=self.place or place)


class ConfigError(GenprmError, ValueError):
    """A setting, prompt pack or model directory that cannot work; names the key or path."""


class EngineError(GenprmError, RuntimeError):
    """The engine behind a call is dead or refused the call; trying again may help."""


class PromptTooLongError(GenprmError, ValueError):
    """A prompt that leaves no room to generate; carries both lengths, in tokens."""

    def __init__(self, length: int, limit: int):
        super().__init__(length, limit)  # both in args, so that the error pickles
        self.length = length
        self.limit = limit

    def __str__(self) -> str:
        return f"prompt of {self.length} tokens does not fit the context of {self.limit}"


def one_line(error: BaseException | str, limit: int | None = None) -> str:
    """The text on one line, every run of white space one blank.

    An error without text gives its class. Longer texts than `limit` characters end in "…".
    """
    text = " ".join(str(error).split())
    if not text and isinstance(error, BaseException):
        text = type(error).__name__
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
