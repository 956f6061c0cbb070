"""What every test shares: hypothesis without deadlines, for machines that are busy, commands that
can be interrupted, and what takes long to start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("genprm", deadline=None)
settings.load_profile("genprm")

# a shell starts what it puts in the background deaf to Ctrl-C, and children of that stay so
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file: other files call `asyncio.run`, see `chromium`."""
    from browser import chromium

    with chromium() as running:
        yield running
