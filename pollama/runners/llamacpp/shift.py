"""Arithmetic of prompts that are too long and of contexts that are full."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_TAIL = 4
"""Tokens at the end of the context that ``keep`` never claims."""


def target_length(context: int, keep: int) -> int:
    """Return the length that a prompt too long for ``context`` is cut to: half of what is not kept goes."""
    keep = max(0, min(keep, context - 1))
    return context - max((context - keep) // 2, 1)


def cut_prompt(tokens: list[int], context: int, keep: int, *, adds_bos: bool) -> list[int]:
    """Return ``tokens`` without their middle when they are more than ``context`` - 1.

    ``keep`` leading tokens stay (negative: all that fit), one more when the tokenizer adds BOS.
    """
    if len(tokens) <= context - 1:
        return tokens
    keep = (len(tokens) if keep < 0 else keep) + adds_bos
    keep = min(keep, context - 1)
    tail = target_length(context, keep) - keep
    return tokens[:keep] + tokens[len(tokens) - tail :]


@dataclass(frozen=True, slots=True)
class ShiftRule:
    """How one sequence lives with a full context of ``context`` positions: see ``discard``."""

    context: int
    keep: int
    prompt_length: int
    adds_bos: bool

    def due(self, computed: int) -> Discard | None:
        """Return what must go before another position is computed behind ``computed`` ones; None: nothing yet."""
        if computed + 1 < self.context:
            return None
        return discard(computed, self.context, self.keep, self.prompt_length, adds_bos=self.adds_bos)

    def after(self, prompt: list[int], produced: list[int]) -> list[int]:
        """Return the tokens that are left in the context when ``produced`` has been written behind ``prompt``."""
        tokens = list(prompt)
        for token in produced:
            tokens.append(token)
            gone = self.due(len(tokens) - 1)
            if gone is not None:
                del tokens[gone.start : gone.end]
        return tokens


@dataclass(frozen=True, slots=True)
class Discard:
    """Positions ``[start, end)`` leave the context; what follows moves down by ``count``."""

    start: int
    end: int

    @property
    def count(self) -> int:
        """How many positions leave."""
        return self.end - self.start


def discard(length: int, context: int, keep: int, prompt_length: int, *, adds_bos: bool) -> Discard:
    """Return what a full context of ``length`` positions drops: half of what follows the kept tokens."""
    keep = (prompt_length if keep < 0 else keep) + adds_bos
    keep = max(0, min(keep, context - _LEAST_TAIL, length - 1))
    return Discard(keep, keep + max((length - keep) // 2, 1))
