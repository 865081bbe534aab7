"""Sampler chains in llama.cpp's standard order, on candidate arrays of their own.

Nothing here touches a context, so several sequences can be sampled on several threads; the C calls release the GIL.
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pollama.native.binding import llama
from pollama.native.errors import NativeError
from pollama.native.vocabulary import Vocabulary

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """What a chain does; values that disable a sampler leave it out. ``last_n`` counts tokens, 0 = none."""

    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    last_n: int
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float

    @property
    def penalises(self) -> bool:
        """Tell whether earlier tokens change the logits."""
        changes = self.repeat_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0
        return changes and self.last_n > 0

    @property
    def greedy(self) -> bool:
        """Tell whether the most likely token is always taken."""
        return self.temperature <= 0.0


class Chain:
    """A sampler chain and its state. ``draws`` counts the random numbers it has used. Free with ``close``."""

    def __init__(self, vocabulary: Vocabulary, settings: ChainSettings) -> None:
        self.draws = 0
        self._random = not settings.greedy
        self.pointer: Any = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for sampler in _samplers(vocabulary.length, settings):
            llama.llama_sampler_chain_add(self.pointer, sampler)

    def apply(self, candidates: Candidates) -> int:
        """Return the token that the chain chooses."""
        llama.llama_sampler_apply(self.pointer, ctypes.byref(candidates.structure))
        self.draws += self._random
        return candidates.chosen()

    def skip(self, draws: int) -> None:
        """Use up random numbers, as an earlier run with the same seed did."""
        if not self._random:
            return
        last = llama.llama_sampler_chain_get(self.pointer, llama.llama_sampler_chain_n(self.pointer) - 1)
        for _ in range(draws):
            llama.llama_sampler_apply(last, ctypes.byref(Candidates.of_tokens(0, 1).structure))
        self.draws += draws

    def accept(self, token: int) -> None:
        """Remember a token for the penalties."""
        llama.llama_sampler_accept(self.pointer, token)

    def close(self) -> None:
        """Free the chain; safe to call twice."""
        if self.pointer:
            llama.llama_sampler_free(self.pointer)
            self.pointer = None


class Grammar:
    """A GBNF grammar and how much of it has been matched. Free with ``close``.

    llama.cpp counts bytes that are no UTF-8 (overlong forms, surrogates) as a character, so they are checked here.
    """

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        """Parse ``text``. Raises NativeError when it is not a grammar."""
        pointer = llama.llama_sampler_init_grammar(vocabulary.pointer, text.encode(), b"root")
        if not pointer:
            raise NativeError("failed to parse grammar")
        self.pointer: Any = pointer
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def allows(self, token: int) -> bool:
        """Tell whether ``token`` may come next."""
        single = Candidates.of_tokens(token)
        self.mask(single)
        return bool(np.isfinite(single.data["logit"][0])) and self.goes_on_as_text(token)

    def goes_on_as_text(self, token: int) -> bool:
        """Tell whether the bytes of ``token`` are text, or the beginning of a character, behind what was accepted."""
        state = self._decoder.getstate()
        try:
            self._decoder.decode(self._vocabulary.piece(token, special=True))
        except UnicodeDecodeError:
            return False
        finally:
            self._decoder.setstate(state)
        return True

    def mask(self, candidates: Candidates) -> None:
        """Make the tokens that may not come next impossible, but for those that are no text."""
        llama.llama_sampler_apply(self.pointer, ctypes.byref(candidates.structure))

    def accept(self, token: int) -> None:
        """Go on behind ``token``, which must be allowed."""
        llama.llama_sampler_accept(self.pointer, token)
        self._decoder.decode(self._vocabulary.piece(token, special=True))

    def close(self) -> None:
        """Free the grammar; safe to call twice."""
        if self.pointer:
            llama.llama_sampler_free(self.pointer)
            self.pointer = None


class Candidates:
    """Tokens to choose from, with their logits. Samplers reorder and shorten the array; it serves once."""

    def __init__(self, ids: NDArray[np.int32], logits: NDArray[np.float32] | float) -> None:
        self.data: NDArray[Any] = np.zeros(len(ids), _CANDIDATE)
        self.data["id"] = ids
        self.data["logit"] = logits
        self.structure = llama.llama_token_data_array(
            data=ctypes.cast(self.data.ctypes.data, ctypes.POINTER(llama.llama_token_data)),
            size=len(ids),
            selected=-1,
            sorted=False,
        )

    @classmethod
    def of_tokens(cls, *tokens: int) -> Candidates:
        """Return candidates of equal weight."""
        return cls(np.array(tokens, np.int32), 0.0)

    @property
    def possible(self) -> int:
        """How many of them no sampler has ruled out."""
        return int(np.count_nonzero(np.isfinite(self.data["logit"])))

    def chosen(self) -> int:
        """Return the token a chain has selected."""
        selected = self.structure.selected
        if not 0 <= selected < self.structure.size:
            raise NativeError("the samplers left no token to choose")
        return int(self.structure.data[selected].id)


def _samplers(vocabulary_length: int, settings: ChainSettings) -> Iterable[Any]:
    if settings.penalises:
        yield llama.llama_sampler_init_penalties(
            vocabulary_length,
            settings.last_n,
            settings.repeat_penalty,
            settings.frequency_penalty,
            settings.presence_penalty,
        )
    if settings.greedy:
        yield llama.llama_sampler_init_greedy()
        return
    yield llama.llama_sampler_init_top_k(settings.top_k)
    yield llama.llama_sampler_init_typical(settings.typical_p, 0)
    yield llama.llama_sampler_init_top_p(settings.top_p, 0)
    yield llama.llama_sampler_init_min_p(settings.min_p, 0)
    yield llama.llama_sampler_init_temp(settings.temperature)
    yield llama.llama_sampler_init_dist(settings.seed)
