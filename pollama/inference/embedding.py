"""Embeddings: which tokens a text becomes, and what is done to its vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from pollama.errors import BadRequestError
from pollama.types.generation import RunnerInfo
from pollama.types.ports import Runner

_NORM_FLOOR: Final = 1e-12


async def tokens_of(text: str, runner: Runner, *, context_length: int, truncate: bool) -> list[int]:
    """Return the tokens to embed, special ones included.

    A text that is too long is cut to the context, or refused with BadRequestError when ``truncate`` is false.
    """
    plain = await runner.tokenize(text, add_special=False)
    limit = _limit(plain, runner.info, context_length)
    if len(plain) <= limit:
        return await runner.tokenize(text, add_special=True)
    if not truncate:
        raise BadRequestError("the input length exceeds the context length")
    return await _cut(plain, limit, runner, context_length)


async def _cut(plain: Sequence[int], limit: int, runner: Runner, context_length: int) -> list[int]:
    """Return the tokens of the text of the first ``limit`` tokens, or of fewer where those are too many.

    A cut inside a character leaves U+FFFD, which can have more tokens than the bytes that it stands for.
    """
    while limit > 0:
        tokens = await runner.tokenize(await runner.detokenize(plain[:limit]), add_special=True)
        if len(tokens) <= context_length:
            return tokens
        limit -= (len(tokens) - context_length + 1) // 2  # less than all: U+FFFD goes with its last byte
    raise BadRequestError("input after truncation exceeds maximum context length")


def finished_vector(vector: Sequence[float], dimensions: int, *, raw: bool = False) -> list[float]:
    """Return the vector with length 1 unless it is ``raw``, cut to ``dimensions`` first when that is fewer and not 0.

    Raises BadRequestError for NaN and infinities.
    """
    values = np.asarray(vector, dtype=np.float32)
    if not np.isfinite(values).all():
        raise BadRequestError("embedding contains NaN or Inf values")
    if 0 < dimensions < len(values):
        values = values[:dimensions]
    if not raw:
        values = values / np.float32(max(math.sqrt(float(np.dot(values, values))), _NORM_FLOOR))
    numbers: list[float] = values.tolist()
    return numbers


def _limit(tokens: Sequence[int], info: RunnerInfo, context_length: int) -> int:
    """Return how many plain tokens fit: room is kept for BOS and EOS unless the text already has them."""
    limit = context_length
    limit -= not tokens or tokens[0] != info.bos
    limit -= not tokens or tokens[-1] != info.eos
    return limit
