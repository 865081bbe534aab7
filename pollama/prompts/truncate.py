"""Dropping of old messages until a prompt fits its context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pollama.prompts.render import Conversation, Prompt

TOKENS_PER_MEDIUM: Final = 768
"""What an image is counted as while history is dropped."""
_BATCH: Final = 8
"""Lengths of history that are tried in one round trip to the runner."""

CountTokens = Callable[[Sequence[str]], Awaitable[list[int]]]


async def fit_history(conversation: Conversation, context_length: int, count_tokens: CountTokens) -> Prompt:
    """Return the prompt with the fewest oldest messages dropped that has at most ``context_length`` tokens.

    System messages stay, the last message stays even when it does not fit. A shorter history never has more
    tokens, so the length is searched for instead of dropping one message after the other. Raises as
    ``Conversation.prompt``.
    """
    whole = conversation.prompt()
    last = len(conversation.messages) - 1
    search = _Search(conversation, context_length, count_tokens)
    if last <= 0 or await search.fits([whole]) == [True]:
        return whole
    too_long, fitting = 0, last
    while fitting - too_long > 1:
        step = max(1, (fitting - too_long) // (_BATCH + 1))
        tried = list(range(too_long + step, fitting, step))[:_BATCH]
        results = await search.fits([conversation.prompt(dropped) for dropped in tried])
        for dropped, fits in zip(tried, results, strict=True):
            if fits:
                fitting = dropped
                break
            too_long = dropped
    return conversation.prompt(fitting)


class _Search:
    """Tells which prompts fit."""

    def __init__(self, conversation: Conversation, context_length: int, count_tokens: CountTokens) -> None:
        self._per_medium = TOKENS_PER_MEDIUM if conversation.model.stored.projectors else 0
        self._context_length = context_length
        self._count_tokens = count_tokens

    async def fits(self, prompts: Sequence[Prompt]) -> list[bool]:
        counts = await self._count_tokens([prompt.text for prompt in prompts])
        return [
            count + self._per_medium * len(prompt.media) <= self._context_length
            for prompt, count in zip(prompts, counts, strict=True)
        ]
