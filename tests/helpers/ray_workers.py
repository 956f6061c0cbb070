"""Where Ray's workers find the helpers of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from places import HELPERS


@contextmanager
def helpers_on_path() -> Iterator[None]:
    """A Ray that starts meanwhile has workers that import from tests/helpers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)
        yield
