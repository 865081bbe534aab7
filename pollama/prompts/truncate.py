"""Dropping of old messages until a prompt fits its context."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pollama.prompts.render import Conversation, Prompt

TOKENS_PER_MEDIUM: Final = 768
"""What an image is counted as while history is dropped."""
_BATCH: Final = 5
"""Lengths of history that are tried in one round trip to the runner."""

CountTokens = Callable[[Sequence[str]], Awaitable[list[int]]]


async def fit_history(conversation: Conversation, context_length: int, count_tokens: CountTokens) -> Prompt:
    """Return the prompt with the fewest oldest messages dropped that has at most ``context_length`` tokens.

    System messages stay, the last message stays even when it does not fit. A shorter history never has more
    tokens, so the length is searched for instead of dropping one message after the other. Raises as
    ``Conversation.prompt``.
    """
    (whole,) = await _rendered(conversation, [0])
    last = len(conversation.messages) - 1
    if last <= 0:
        return whole
    counter = _Counter(conversation, count_tokens)
    (tokens,) = await counter.count([whole])
    if tokens <= context_length:
        return whole
    too_long, fitting = 0, last
    tried = _around(_estimate(conversation, context_length / tokens), too_long, fitting)
    while fitting - too_long > 1:
        for dropped, count in zip(tried, await counter.count(await _rendered(conversation, tried)), strict=True):
            if count <= context_length:
                fitting = dropped
                break
            too_long = dropped
        tried = _spread(too_long, fitting)
    (prompt,) = await _rendered(conversation, [fitting])
    return prompt


async def _rendered(conversation: Conversation, dropped: Sequence[int]) -> list[Prompt]:
    """Return the prompts without the oldest messages.

    Always in a thread: even a short conversation can have a template that takes a second, and other requests go on
    meanwhile. The way there and back takes far less time than one token.
    """
    return await asyncio.to_thread(lambda: [conversation.prompt(count) for count in dropped])


class _Counter:
    """Counts the tokens of prompts, images included."""

    def __init__(self, conversation: Conversation, count_tokens: CountTokens) -> None:
        self._per_medium = TOKENS_PER_MEDIUM if conversation.model.stored.projectors else 0
        self._count_tokens = count_tokens

    async def count(self, prompts: Sequence[Prompt]) -> list[int]:
        counts = await self._count_tokens([prompt.text for prompt in prompts])
        return [count + self._per_medium * len(prompt.media) for prompt, count in zip(prompts, counts, strict=True)]


def _estimate(conversation: Conversation, share: float) -> int:
    """Return how many messages to drop so that about ``share`` of the text is left."""
    sizes = [len(message.content) + 1 for message in conversation.messages]
    excess = sum(sizes) * (1 - share)
    for dropped, size in enumerate(sizes):
        if excess <= 0:
            return dropped
        excess -= size
    return len(sizes)


def _around(guess: int, low: int, high: int) -> list[int]:
    """Return the numbers next to ``guess`` that lie between ``low`` and ``high``; at least one if there is one."""
    middle = min(max(guess, low + 1), high - 1)
    half = _BATCH // 2
    return [number for number in range(middle - half, middle + half + 1) if low < number < high]


def _spread(low: int, high: int) -> list[int]:
    """Return numbers evenly spread between ``low`` and ``high``."""
    step = max(1, (high - low) // (_BATCH + 1))
    return list(range(low + step, high, step))[:_BATCH]
