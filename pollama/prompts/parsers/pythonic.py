"""Text that is cut at separators outside of brackets and quotes, as in the calls of Python."""

from __future__ import annotations

from collections.abc import Iterator


def outside(text: str, *, opening: str = "([{", closing: str = ")]}") -> Iterator[tuple[int, str]]:
    """Yield position and character of what stands outside of brackets and quotes, the outer brackets included.

    Raises ValueError at the end of the text for a quote that is still open.
    """
    depth = 0
    quote = ""
    characters = iter(enumerate(text))
    for position, character in characters:
        if quote:
            if character == "\\":
                next(characters, None)
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in opening:
            if not depth:
                yield position, character
            depth += 1
        elif character in closing:
            depth -= 1
            if not depth:
                yield position, character
        elif not depth:
            yield position, character
    if quote:
        raise ValueError(f"{quote} is not closed")


def split_outside(text: str, separator: str) -> list[str]:
    """Return the parts of ``text`` between separators; an open quote reaches to the end."""
    cuts = []
    try:
        for position, character in outside(text):
            if character == separator:
                cuts.append(position)
    except ValueError:
        pass
    starts = [0, *(cut + 1 for cut in cuts)]
    return [text[start:end] for start, end in zip(starts, [*cuts, len(text)], strict=True)]
