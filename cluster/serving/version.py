"""Which version of its critic a deployment was last told to serve, for processes that start later.

It stands in the store of Ray's head, where Serve keeps its own state, under a key of one
deployment: deployed again, a service serves the critic of its config. Serve's `user_config` would
do the same only for applications that came from a config file, takes each replica out of service
while it changes, and kills one that cannot.
"""

from __future__ import annotations

import asyncio

from ray.experimental import internal_kv

NAMESPACE = b"genprm"


class ChosenCritic:
    """The choice of one deployment or actor, named by `key`."""

    def __init__(self, key: str):
        self._key = f"critic:{key}".encode()

    async def get(self) -> str | None:
        """The directory that was chosen last; None where the config's own critic was not left."""
        found = await asyncio.to_thread(
            internal_kv._internal_kv_get, self._key, namespace=NAMESPACE
        )
        return found.decode() if found else None

    async def set(self, directory: str) -> None:
        """Choose a directory."""
        await asyncio.to_thread(
            internal_kv._internal_kv_put, self._key, directory.encode(), namespace=NAMESPACE
        )
