"""The JSON body of a request: read up to a limit, and described in the schema."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request

from cluster.serving.schema import RequestError
from genprm.client.calls import MAX_BODY_BYTES

T = TypeVar("T")
LONG_BODY = 50_000  # bytes that are read and split in some ten milliseconds


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


async def understood(request: Request, read: Callable[[bytes], T]) -> T:
    """What `read` makes of the body. A long one is read and split in another thread: others'
    requests go on meanwhile. Raises what either does."""
    body = await read_body(request)
    return read(body) if len(body) <= LONG_BODY else await asyncio.to_thread(read, body)


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its own body."""
    content = {"application/json": {"schema": _in_one(schema, schema.get("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _in_one(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its definitions where they are used: in the middle of another document a
    reference to them would lead nowhere. They do not hold themselves."""
    if isinstance(schema, list):
        return [_in_one(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _in_one(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {k: _in_one(value, definitions) for k, value in schema.items() if k != "$defs"}
