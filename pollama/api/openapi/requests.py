"""The bodies that routes take, and the fields of them that are not acted on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pollama.api.anthropic.schemas import COUNT_TOKENS, MESSAGES
from pollama.api.godecode import Custom, Ignored, Kind, List, Refused, Struct
from pollama.api.ollama import schemas as native
from pollama.api.openai import schemas as openai
from pollama.api.openai.responses.schemas import RESPONSES

BODIES: Final[dict[str, Struct]] = {
    "POST /api/chat": native.CHAT,
    "POST /api/copy": native.COPY,
    "POST /api/create": native.CREATE,
    "DELETE /api/delete": native.DELETE,
    "POST /api/embed": native.EMBED,
    "POST /api/embeddings": native.EMBEDDING,
    "POST /api/generate": native.GENERATE,
    "POST /api/pull": native.PULL,
    "POST /api/push": native.PUSH,
    "POST /api/show": native.SHOW,
    "POST /v1/chat/completions": openai.CHAT,
    "POST /v1/completions": openai.COMPLETION,
    "POST /v1/embeddings": openai.EMBEDDING,
    "POST /v1/messages": MESSAGES,
    "POST /v1/messages/count_tokens": COUNT_TOKENS,
    "POST /v1/responses": RESPONSES,
}
"""The schema of every JSON body, by method and path."""


def struct_within(kind: Kind) -> Struct | None:
    """Return the struct that a kind is, or is a list of; None for every other kind."""
    if isinstance(kind, List):
        return struct_within(kind.item)
    if isinstance(kind, Custom):
        return None if kind.body is None else struct_within(kind.body)
    return kind if isinstance(kind, Struct) else None


def unread_fields(schema: Struct, above: tuple[Struct, ...] = ()) -> Iterator[tuple[str, Ignored | Refused]]:
    """Return the fields that are ignored or refused, those of members as ``member.field``."""
    for name, kind in schema.fields.items():
        inner = struct_within(kind)
        if isinstance(kind, (Ignored, Refused)):
            yield name, kind
        elif inner is not None and inner not in above:
            for path, member in unread_fields(inner, (*above, schema)):
                yield f"{name}.{path}", member
