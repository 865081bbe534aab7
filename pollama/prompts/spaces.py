"""White space as Go's ``strings.TrimSpace`` knows it (Python's own set differs)."""

from __future__ import annotations

from typing import Final

GO_SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def trim(text: str) -> str:
    """Return ``text`` without white space at either end."""
    return text.strip(GO_SPACES)
