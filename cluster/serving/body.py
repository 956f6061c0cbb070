"""The JSON body of a request: read up to a limit, and described in the schema."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response

from cluster.serving.schema import RequestError
from genprm.client.calls import MAX_BODY_BYTES

T = TypeVar("T")
R = TypeVar("R", bound=Response)
LONG_BODY = 50_000  # bytes that are parsed and split in some ten milliseconds
LONG_ANSWER = 2_000  # numbers that are put together in some ten milliseconds


async def read_body(request: Request) -> bytes:
    """The whole body, whatever its content type says.

    Raises:
        RequestError: more than MAX_BODY_BYTES (413); reading stops there.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            message = f"is larger than {MAX_BODY_BYTES} bytes"
            raise RequestError(message, field="body", status=413)
    return bytes(body)


async def parse_body(request: Request, parse: Callable[[bytes], T]) -> T:
    """The request in the body, as `parse` reads it. A long body is parsed in another thread, so
    that other requests go on. Raises what `read_body` and `parse` raise."""
    body = await read_body(request)
    return parse(body) if len(body) <= LONG_BODY else await asyncio.to_thread(parse, body)


async def build_answer(numbers: int, build: Callable[[], R]) -> R:
    """The answer that `build` returns. One of many numbers is put together in another thread, so
    that other requests go on. Raises what `build` raises."""
    return build() if numbers <= LONG_ANSWER else await asyncio.to_thread(build)


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its own body."""
    content = {"application/json": {"schema": _inlined(schema, schema.get("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its definitions in place of the references to them, which would lead nowhere
    in the middle of another document. No definition refers to itself."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {k: _inlined(value, definitions) for k, value in schema.items() if k != "$defs"}
