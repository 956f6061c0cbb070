"""The HTTP client of the scoring service, under the name of the service; see `genprm.client`."""

from __future__ import annotations

from genprm.client.http import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
