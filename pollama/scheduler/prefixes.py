"""Which beginnings of prompts a replica has seen lately, as far as the head can know without tokens.

A prompt is a chain of keys, each standing for all of the text up to its place. The runner's own cache is the truth;
this is a guess that is right most of the time and costs no question to the runner.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pollama.types.ports import Prefix

_REMEMBERED: Final = 4096


class RecentPrefixes:
    """Keys in the order of their last use; the oldest are forgotten."""

    def __init__(self) -> None:
        self._keys: OrderedDict[int, None] = OrderedDict()

    def add(self, chain: tuple[Prefix, ...]) -> None:
        """Remember a prompt."""
        for prefix in chain:
            self._keys[prefix.key] = None
            self._keys.move_to_end(prefix.key)
        while len(self._keys) > _REMEMBERED:
            self._keys.popitem(last=False)

    def known(self, chain: tuple[Prefix, ...]) -> int:
        """Return the tokens of the longest known beginning of a prompt."""
        return next((prefix.tokens for prefix in reversed(chain) if prefix.key in self._keys), 0)
