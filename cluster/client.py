"""The HTTP client of the scoring service, beside the service; it lives in `genprm.client`."""

from __future__ import annotations

from genprm.client.http import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
