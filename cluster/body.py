"""The JSON body of a request: read up to a limit, and described in the schema."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from cluster.requests import MAX_BODY_BYTES, RequestError


async def read_body(request: Request) -> bytes:
    """The whole body, whatever its content type says.

    Raises:
        RequestError: more than MAX_BODY_BYTES (413); reading stops there.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestError("body", f"is larger than {MAX_BODY_BYTES} bytes", status=413)
    return bytes(body)


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its own body."""
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}
