"""The input of a response: a text, or items of a conversation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pollama.api.godecode import DecodeError, TypeMismatchError
from pollama.api.godecode.place import json_kind
from pollama.types.goquote import go_quote
from pollama.types.json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A text or a list of parts: texts joined, image URLs, and whether a file was among them."""

    text: str = ""
    image_urls: tuple[str, ...] = ()
    has_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item. ``call_id`` joins a function call and its output."""

    kind: Literal["message", "call", "output", "reasoning"]
    role: str = ""
    content: Content = field(default_factory=Content)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    thinking: str = ""


def read_input(value: Json) -> list[Item]:
    """Return the items of ``input``; a text is one user message. Raises DecodeError."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Item(kind="message", role="user", content=Content(text=value))]
    items = (_item(entry, index) for index, entry in enumerate(_array(value, "input")))
    return [item for item in items if item is not None]


def _array(value: Json, what: str) -> list[Json]:
    if isinstance(value, list):
        return value
    mismatch = TypeMismatchError(json_kind(value), "[]json.RawMessage")
    raise DecodeError(f"{what} must be a string or array: {mismatch}")


def _item(value: Json, index: int) -> Item | None:
    try:
        return _read_item(value)
    except DecodeError as error:
        raise DecodeError(f"input[{index}]: {error}") from None


def _read_item(value: Json) -> Item | None:
    """Return an item, None for one that is of no use here."""
    if not isinstance(value, dict):
        raise TypeMismatchError(json_kind(value), "openai.ResponsesInputItem")
    kind = value.get("type") or ("message" if value.get("role") else "")
    if kind == "message":
        return Item(kind="message", role=_text(value, "role"), content=_content(value.get("content"), "content"))
    if kind == "function_call":
        return Item(
            kind="call",
            call_id=_text(value, "call_id"),
            name=_text(value, "name"),
            arguments=_text(value, "arguments"),
        )
    if kind == "function_call_output":
        output = _content(value.get("output"), "output")
        return Item(kind="output", call_id=_text(value, "call_id"), content=output)
    if kind == "reasoning":
        return Item(kind="reasoning", thinking=_text(value, "encrypted_content"))
    if kind == "web_search_call":
        return None
    if not kind:
        raise DecodeError("input item missing required 'type' field")
    raise DecodeError(f"unknown input item type: {go_quote(str(kind))}")


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise TypeMismatchError(json_kind(text), "string", "", (name,))
    return text or ""


def _content(value: Json, what: str) -> Content:
    if value is None or isinstance(value, str):
        return Content(text=value or "")
    return _joined(enumerate(_array(value, what)), what)


def _joined(parts: Iterable[tuple[int, Json]], what: str) -> Content:
    texts: list[str] = []
    images: list[str] = []
    has_file = False
    for index, part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text", "text"):
            texts.append(_text(part, "text"))
        elif kind == "input_image":
            images.append(_text(part, "image_url"))
        elif kind == "input_file":
            has_file = True
        else:
            raise DecodeError(f"{what}[{index}]: unknown content type: {kind or ''}")
    return Content(text="".join(texts), image_urls=tuple(images), has_file=has_file)
