"""Tokens and text. llama.cpp's tokenizer may be used from any thread."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pollama.native.binding import llama
from pollama.native.errors import NativeError

_PIECE_BYTES = 64


class Vocabulary:
    """The vocabulary of a loaded model."""

    def __init__(self, model: Any) -> None:
        self.pointer = llama.llama_model_get_vocab(model)
        if not self.pointer:
            raise NativeError("the model has no vocabulary")
        self.length = int(llama.llama_vocab_n_tokens(self.pointer))
        self.bos = int(llama.llama_vocab_bos(self.pointer))
        self.eos = int(llama.llama_vocab_eos(self.pointer))
        self.adds_bos = bool(llama.llama_vocab_get_add_bos(self.pointer))
        self.adds_eos = bool(llama.llama_vocab_get_add_eos(self.pointer))
        self.bos_text = self._special_text(self.bos)
        self.eos_text = self._special_text(self.eos)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def _special_text(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the token ids of ``text``."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens: NDArray[np.int32] = np.empty(room, np.int32)
            pointer = tokens.ctypes.data_as(llama.llama_token_p)
            count = llama.llama_tokenize(self.pointer, data, len(data), pointer, room, add_special, parse_special)
            if count >= 0:
                result: list[int] = tokens[:count].tolist()
                return result
            if count == -(2**31):
                raise NativeError("the text has too many tokens")
            room = -count

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``, special tokens included; a leading space stays, as in llama-server."""
        text = b"".join(self.piece(int(token), special=True) for token in self.checked(tokens))
        return text.decode("utf-8", "replace")

    def checked(self, tokens: Sequence[int]) -> NDArray[np.int32]:
        """Return ``tokens`` as an array; NativeError names the first id that is none of this vocabulary."""
        ids = np.asarray(tokens, np.int64)
        wrong = np.flatnonzero((ids < 0) | (ids >= self.length))
        if wrong.size:
            raise NativeError(f"token {ids[wrong[0]]} is not in the vocabulary of {self.length} tokens")
        return ids.astype(np.int32)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes of one token; control tokens are empty unless ``special``."""
        if not special:
            cached = self._pieces.get(token)
            if cached is None:
                cached = self._pieces[token] = self._piece(token, special=False)
            return cached
        return self._piece(token, special=True)

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = _PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = llama.llama_token_to_piece(self.pointer, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def ends(self, token: int) -> bool:
        """Tell whether ``token`` ends a generation."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(llama.llama_vocab_is_eog(self.pointer, token))
        return known
