"""Embeddings, in a context of their own: one vector per input, pooled as the model wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pollama.errors import GenerationError
from pollama.native.batch import Batch
from pollama.native.context import Context, ContextSettings, Pooling
from pollama.native.errors import NativeError
from pollama.native.model import Model

_MOST_INPUTS: Final = 64
"""Inputs that share one pass."""


class Embedder:
    """Makes raw vectors. ``longest`` is the number of tokens that one input can have.

    Inputs share a pass of at most ``shared_pass`` tokens, so that a pass stays short for what runs beside it; a longer
    input has one to itself.
    """

    def __init__(
        self, model: Model, *, longest: int, shared_pass: int, threads: int, flash_attention: bool | None = None
    ) -> None:
        """Allocate the context. Raises NativeError."""
        self._model = model
        self._shared_pass = shared_pass
        self._longest = min(longest, model.trained_context or longest)
        named = model.metadata(f"{model.architecture}.pooling_type") is not None
        settings = ContextSettings(
            cells=longest,
            sequences=_MOST_INPUTS,
            batch=longest,
            flash_attention=flash_attention,
            threads=threads,
            pooling=Pooling.OF_MODEL if named else Pooling.MEAN,
            embeddings=True,
        )
        self._context = Context(model, settings)
        self._batch = Batch(self._context.batch)

    @property
    def context(self) -> Context:
        """The context that the vectors are computed in."""
        return self._context

    def groups(self, inputs: Sequence[Sequence[int]]) -> Iterator[list[list[int]]]:
        """Divide ``inputs`` into passes. Raises GenerationError (400) for one that cannot be embedded."""
        group: list[list[int]] = []
        for tokens in inputs:
            self._check(tokens)
            full = sum(map(len, group)) + len(tokens) > self._shared_pass
            if group and (full or len(group) == _MOST_INPUTS):
                yield group
                group = []
            group.append(list(tokens))
        if group:
            yield group

    def _check(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise GenerationError("the input has no tokens", 400)
        if len(tokens) > self._longest:
            raise GenerationError(
                f"input ({len(tokens)} tokens) is too large to process (limit: {self._longest} tokens)", 400
            )
        try:
            self._model.vocabulary.checked(tokens)
        except NativeError as error:
            raise GenerationError(str(error), 400) from error

    def vectors(self, group: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the vectors of one pass. Raises GenerationError."""
        self._batch.clear()
        rows = [self._batch.add(sequence, list(tokens), 0, output=True) for sequence, tokens in enumerate(group)]
        self._batch.require_all_outputs()
        try:
            self._context.clear()
            self._context.process(self._batch)
            self._context.synchronise()
            return [self._vector(sequence, row) for sequence, row in enumerate(rows)]
        except NativeError as error:
            raise GenerationError(str(error)) from error

    def _vector(self, sequence: int, last_row: int) -> list[float]:
        match self._context.pooling:
            case Pooling.NONE:
                vector = self._context.embedding(last_row, self._model.embedding_output)
            case Pooling.RANK:
                vector = self._context.pooled(sequence, self._model.class_count)
            case _:
                vector = self._context.pooled(sequence, self._model.embedding_output)
        values: list[float] = vector.tolist()
        return values

    def close(self) -> None:
        """Free the context."""
        self._context.close()
