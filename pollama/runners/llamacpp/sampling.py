"""Choosing the next token of one sequence."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping, Set
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pollama.native.errors import NativeError
from pollama.native.sampler import Candidates, Chain, ChainSettings, Grammar
from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.text import TokenScore
from pollama.types.generation import Sampling

_GROUP: Final = 64
"""Tokens whose best one stands for them while a bound for the best of all is sought."""
_LIKELY: Final = 256
"""How many more tokens than the chain needs a grammar is asked about before it is asked about all."""


def chain_settings(sampling: Sampling, context: int) -> ChainSettings:
    """Return ``sampling`` in the engine's terms; ``repeat_last_n`` -1 looks at the whole ``context``."""
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    return ChainSettings(
        seed=seed,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        typical_p=sampling.typical_p,
        last_n=context if sampling.repeat_last_n < 0 else min(sampling.repeat_last_n, context),
        repeat_penalty=sampling.repeat_penalty,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
    )


class TokenChooser:
    """Samples one sequence. Independent of every other one, so that seeds reproduce whatever else runs."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: ChainSettings,
        grammar: Grammar | None = None,
        bias: Mapping[int, float] | None = None,
    ) -> None:
        """``bias`` is added to the logits of tokens, which must be in the vocabulary."""
        self._vocabulary = vocabulary
        self._settings = settings
        self._chain = Chain(vocabulary, settings)
        self._grammar = grammar
        self._biased = np.fromiter(bias or {}, np.int32)
        self._bias = np.fromiter((bias or {}).values(), np.float32)
        self._plain_greedy = settings.greedy and not settings.penalises and grammar is None
        self._penalises = settings.penalises
        self._all_ids = np.arange(vocabulary.length, dtype=np.int32)
        self._recent: deque[int] = deque(maxlen=settings.last_n if settings.penalises else 0)

    @property
    def draws(self) -> int:
        """How many random numbers were used."""
        return self._chain.draws

    def remember(self, tokens: list[int]) -> None:
        """Let the penalties see ``tokens`` (a prompt)."""
        if self._settings.penalises:
            for token in tokens[-self._settings.last_n :]:
                self._penalise(token)

    def _penalise(self, token: int) -> None:
        self._recent.append(token)
        self._chain.accept(token)

    def resume(self, tokens: list[int], draws: int) -> None:
        """Go on as if this had chosen ``tokens`` with ``draws`` random numbers. Raises NativeError."""
        self._chain.skip(draws)
        for token in tokens if self._grammar is not None else ():
            self._accept_by_grammar(token)

    def _accept_by_grammar(self, token: int) -> None:
        if self._grammar is not None:
            if not self._grammar.allows(token):
                raise NativeError("what was produced before does not follow the requested format")
            self._grammar.accept(token)

    def choose(self, logits: NDArray[np.float32]) -> int:
        """Return the next token and take it into account. Raises NativeError where there is none to choose."""
        logits = self._with_bias(logits)
        token = _highest(logits) if self._plain_greedy else self._sample(logits)
        if self._penalises:
            self._penalise(token)
        if self._grammar is not None:
            self._grammar.accept(token)
        return token

    def _with_bias(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(self._biased):
            return logits
        changed = logits.copy()
        changed[self._biased] += self._bias
        return changed

    def _sample(self, logits: NDArray[np.float32]) -> int:
        """Sample first and check the grammar then: it is far slower on the whole vocabulary than on one token."""
        token = self._chain.apply(self._candidates(logits))
        if self._grammar is None or self._grammar.allows(token):
            return token
        return self._sample_within(self._grammar, logits)

    def _sample_within(self, grammar: Grammar, logits: NDArray[np.float32]) -> int:
        """Choose among the tokens that the grammar leaves, again where one turns out to be no text."""
        logits = logits.copy()
        while True:
            token = self._chain.apply(self._left_by(grammar, logits))
            if grammar.allows(token):
                return token
            if grammar.goes_on_as_text(token) or np.isneginf(logits[token]):
                raise NativeError("no token of the vocabulary continues the requested format")
            logits[token] = -np.inf

    def _left_by(self, grammar: Grammar, logits: NDArray[np.float32]) -> Candidates:
        """Return tokens that the chain can choose among those that the grammar leaves.

        Mostly they are among the likely ones, and a look at those takes a hundredth of one at all.
        """
        recent = set(self._recent)
        likely = self._likely(logits, recent, _LIKELY)
        if likely is not None:
            grammar.mask(likely)
            if likely.possible >= self._needed(recent):
                return likely
        candidates = Candidates(self._all_ids, logits)
        grammar.mask(candidates)
        return candidates

    def _needed(self, recent: Set[int]) -> int:
        """Return how many tokens the chain chooses from, with those that penalties may move behind others."""
        return (1 if self._settings.greedy else self._settings.top_k) + len(recent)

    def _candidates(self, logits: NDArray[np.float32]) -> Candidates:
        """Return the tokens that the chain can choose: all, or a few that its top k are certainly among."""
        likely = self._likely(logits, set(self._recent), 0)
        if likely is not None:
            return likely
        _require_numbers(logits)
        return Candidates(self._all_ids, logits)

    def _likely(self, logits: NDArray[np.float32], recent: Set[int], more: int) -> Candidates | None:
        """Return the tokens that the chain's top k are certainly among, with ``more`` than those; None: all may be.

        Penalties move only recent tokens, so those and the best k + (number of recent) others are enough.
        """
        if not self._settings.greedy and self._settings.top_k <= 0:
            return None
        possible = _at_least(logits, self._needed(recent) + more)
        if possible is None:
            return None
        possible[list(recent)] = True
        ids = np.flatnonzero(possible).astype(np.int32)
        return Candidates(ids, logits[ids])

    def close(self) -> None:
        """Free what llama.cpp holds; safe to call twice."""
        self._chain.close()
        if self._grammar is not None:
            self._grammar.close()


def score(logits: NDArray[np.float32], token: int, alternatives: int) -> TokenScore:
    """Return the log probability of ``token`` and of the ``alternatives`` most likely tokens, best first.

    Raises NativeError where one of the logits is not a number.
    """
    highest = logits[_highest(logits)]
    total = float(highest) + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
    top = [(int(index), float(logits[index]) - total) for index in _best(logits, alternatives)]
    return TokenScore(float(logits[token]) - total, top)


def _highest(logits: NDArray[np.float32]) -> int:
    """Return the most likely token. Raises NativeError where one of the logits is not a number."""
    token = int(logits.argmax())  # NaN counts as the highest
    _require_numbers(logits[token])
    return token


def _require_numbers(values: NDArray[np.float32] | np.float32) -> None:
    """Raise NativeError for NaN, which weights that overflow compute: samplers would choose whatever comes first."""
    if np.isnan(values).any():
        raise NativeError("the model's output is not a number")


def _best(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the ids of the ``count`` highest logits, best first, the lower id first where they are equal."""
    if not count:
        return np.empty(0, np.intp)
    possible = _at_least(logits, count)
    ids = np.arange(len(logits)) if possible is None else np.flatnonzero(possible)
    return ids[np.argsort(-logits[ids], kind="stable")[:count]]


def _at_least(logits: NDArray[np.float32], count: int) -> NDArray[np.bool_] | None:
    """Tell of each logit whether it can be among the highest ``count``; None: no way shorter than sorting them.

    The highest of each of ``count`` groups are as many tokens: what is below all of them is not among the highest.
    Raises NativeError where one of the logits is not a number.
    """
    groups = logits[: len(logits) - len(logits) % _GROUP].reshape(_GROUP, -1).max(axis=0)
    if count > len(groups):
        return None
    best: NDArray[np.float32] = np.partition(groups, -count)[-count:]
    _require_numbers(best)
    possible: NDArray[np.bool_] = logits >= best[0]
    return possible
