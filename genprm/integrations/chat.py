"""The problem and the solution in chats, as trainers hand them over.

A chat is a text or a list of messages; a message is a dict or an object with `role` and `content`,
and its content a text, a list of parts, or None (a tool call). The routes of the service for
trainers read chats by the same functions, so that both judge the same problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def problem_of(chat: Any) -> str:
    """The problem of a prompt: a text as it is, else the last message of a user; "" without one."""
    if isinstance(chat, str):
        return chat
    return content_text(user_content(chat))


def user_content(chat: Any) -> Any:
    """The content of the last message of a user; None without one."""
    users = [_get(m, "content") for m in _parts(chat) if _get(m, "role") == "user"]
    return users[-1] if users else None


def solution_of(chat: Any) -> str:
    """The policy's turns as one text; turns of tools may be between them."""
    if isinstance(chat, str):
        return chat
    turns = [message_text(m) for m in _parts(chat) if _get(m, "role") == "assistant"]
    return "\n\n".join(turns)


def message_text(message: Any) -> str:
    """The text of a message."""
    return content_text(_get(message, "content"))


def content_text(content: Any) -> str:
    """The text of a message's content: its parts are joined by line breaks, as vLLM does it. Parts
    that are no text, such as images, are left out; what has no parts, such as a number, is ""."""
    if isinstance(content, str):
        return content
    texts = [part if isinstance(part, str) else _get(part, "text") for part in _parts(content)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _parts(content: Any) -> list[Any]:
    """The members of a list, or of an array of objects; a mapping is one, and a number has none."""
    if isinstance(content, Mapping):
        return [content]
    try:
        return list(content)
    except TypeError:  # also of an array without dimensions, which has `__iter__`
        return []


def _get(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name, None)
