"""The problem and the solution in chats, as trainers hand them over.

A chat is a text or a list of messages; a message is a dict or an object with `role` and `content`,
and its content a text, a list of parts, or None (a tool call).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def problem_of(chat: Any) -> str:
    """The problem of a prompt: a text as it is, else the last message of a user; "" without one."""
    if isinstance(chat, str):
        return chat
    users = [message_text(m) for m in _messages(chat) if _get(m, "role") == "user"]
    return users[-1] if users else ""


def solution_of(chat: Any) -> str:
    """The policy's turns as one text; turns of tools may be between them."""
    if isinstance(chat, str):
        return chat
    turns = [message_text(m) for m in _messages(chat) if _get(m, "role") == "assistant"]
    return "\n\n".join(turns)


def message_text(message: Any) -> str:
    """The text of a message."""
    content = _get(message, "content")
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if _get(part, "type") == "text"]
    return "".join(_get(part, "text") or "" for part in parts)


def _messages(chat: Any) -> Iterable[Any]:
    return chat if isinstance(chat, Iterable) else ()  # a list, or an array of objects


def _get(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name, None)
