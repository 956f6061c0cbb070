"""The error family: what a caller can act on, told in one line.

`InputError` and `ConfigError` mean that the caller gave something wrong; the command line prints
their message and exits with 2. Everything else is a failure of ours or of the machine (exit 1).
A failed critique or rollout is not an exception: it is a row with a reason.
"""

from __future__ import annotations


class GenprmError(Exception):
    """Root of the errors that genprm raises on purpose."""


class InputError(GenprmError, ValueError):
    """Rows, files or requests that break their format; names the file, line and field."""


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
