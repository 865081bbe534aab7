"""Log probabilities as /v1/completions shows them: one list per property instead of one object per token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pollama.types.events import Piece
from pollama.types.generation import Logprob
from pollama.types.json import Json


def encode_text_logprobs(pieces: Iterable[Piece], *, offset: int) -> dict[str, Json]:
    """Return the ``logprobs`` of a choice, absent without any; ``offset`` is where the pieces begin in its text."""
    placed = list(_placed(pieces, offset))
    if not placed:
        return {}
    entries = [entry for _, entry in placed]
    columns: dict[str, Json] = {
        "tokens": [entry.token for entry in entries],
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [_alternatives(entry) for entry in entries] if any(entry.top for entry in entries) else None,
        "text_offset": [at for at, _ in placed],
    }
    return {"logprobs": columns}


def _placed(pieces: Iterable[Piece], offset: int) -> Iterator[tuple[int, Logprob]]:
    """Yield the tokens of the text with the characters in front of each; thinking is not part of the text."""
    for piece in pieces:
        at = offset
        for entry in () if piece.thinking else piece.logprobs:
            yield at, entry
            at += len(entry.token)
        offset += len(piece.content)


def _alternatives(entry: Logprob) -> dict[str, Json]:
    """Return the best tokens and the chosen one; of those that look the same, the best."""
    return {other.token: other.logprob for other in (entry, *reversed(entry.top))}
