"""A plain greedy loop over llama.cpp, one sequence, one token per decode: what the engine must agree with."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as typed_llama
import numpy as np
from numpy.typing import NDArray

from pollama.native.library import initialise

llama: Any = typed_llama


class PlainLoop:
    """Decodes with nothing but the C functions."""

    def __init__(self, model: Any, context: Any) -> None:
        self.context = context
        self.vocabulary = llama.llama_model_get_vocab(model)
        self.memory = llama.llama_get_memory(context)
        self._width = llama.llama_vocab_n_tokens(self.vocabulary)

    def feed(self, tokens: list[int]) -> int:
        """Decode ``tokens`` and return the most likely next one."""
        return int(np.argmax(self.logits_after(tokens)))

    def logits_after(self, tokens: list[int]) -> NDArray[np.float32]:
        """Decode ``tokens`` and return the logits of what follows; valid until the next call."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        assert llama.llama_decode(self.context, llama.llama_batch_get_one(array, len(tokens))) == 0
        return self._last_logits()

    def most_likely(self) -> int:
        """Return the most likely token after what was decoded last."""
        return int(np.argmax(self._last_logits()))

    def _last_logits(self) -> NDArray[np.float32]:
        return np.ctypeslib.as_array(llama.llama_get_logits_ith(self.context, -1), (self._width,))

    def shortfall(self, prompt: list[int], tokens: list[int]) -> float:
        """Return by how much the logit of any of ``tokens`` falls short of the best one behind what precedes it."""
        worst = 0.0
        following = prompt
        for token in tokens:
            logits = self.logits_after(following)
            worst = max(worst, float(logits.max() - logits[token]))
            following = [token]
        return worst

    def generate(self, prompt: list[int], count: int) -> list[int]:
        """Return up to ``count`` tokens; an end token is not among them."""
        produced: list[int] = []
        token = self.feed(prompt)
        while not llama.llama_vocab_is_eog(self.vocabulary, token):
            produced.append(token)
            if len(produced) == count:
                break
            token = self.feed([token])
        return produced


@contextmanager
def plain_loop(path: Path, context_length: int = 2048) -> Iterator[PlainLoop]:
    """Load ``path`` on the CPU with one sequence."""
    initialise()
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_threads, settings.n_threads_batch = context_length, 2048, 1, 1
    context = llama.llama_init_from_model(model, settings)
    try:
        yield PlainLoop(model, context)
    finally:
        llama.llama_free(context)
        llama.llama_model_free(model)


def plain_tokens(path: Path, prompt: list[int], count: int) -> list[int]:
    """Return what a plain loop generates."""
    with plain_loop(path) as loop:
        return loop.generate(prompt, count)


ROUNDING = 0.02
"""What another order of summation can do to a logit; wrong memory does far more."""


def is_greedy(path: Path, prompt: list[int], tokens: list[int]) -> bool:
    """Tell whether ``tokens`` is what a plain loop generates after ``prompt``, up to ties within rounding."""
    with plain_loop(path) as loop:
        return loop.shortfall(prompt, tokens) < ROUNDING
