"""Which version of its critic a deployment serves, kept for replicas that start later.

The choice is kept in the store of Ray's head, where Serve keeps its own state, under a key of one
deployment: deployed again, a service serves the critic of its config. Serve's `user_config` would
do the same only for applications that came from a config file, takes each replica out of service
while it changes, and kills a replica that cannot change.
"""

from __future__ import annotations

import asyncio

from ray.experimental import internal_kv

NAMESPACE = b"genprm"


class CriticVersion:
    """The version that one deployment or actor serves, under its `key`."""

    def __init__(self, key: str):
        self._key = f"critic:{key}".encode()

    async def get(self) -> str | None:
        """The directory of the version; None for the critic of the config."""
        value = await asyncio.to_thread(
            internal_kv._internal_kv_get, self._key, namespace=NAMESPACE
        )
        return value.decode() if value else None

    async def set(self, directory: str) -> None:
        """Keep the directory of another version."""
        await asyncio.to_thread(
            internal_kv._internal_kv_put, self._key, directory.encode(), namespace=NAMESPACE
        )
