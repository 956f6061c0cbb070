"""The HTTP client of the scoring service; needs neither Ray nor a model."""

from __future__ import annotations

from genprm.client.http import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
