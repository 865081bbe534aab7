"""The demo model's tokenizer: a small byte-level BPE whose merges never leave a run of letters.

A word therefore has the same tokens after a space, after a quote and at a line's start, which
makes copying it a plain repetition of tokens.  Digits, spaces and punctuation stay single bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import regex

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
SPECIAL = CONTROL + MARKERS

# llama.cpp's split for `tokenizer.ggml.pre = "gpt-2"`.
_PIECES = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
_LETTERS = regex.compile(r"\p{L}+")
_SPECIAL = regex.compile("(" + "|".join(regex.escape(text) for text in SPECIAL) + ")")


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes, indexed by byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


_SYMBOLS = byte_symbols()


def _spell(text: str) -> list[str]:
    """The symbols of the text's UTF-8 bytes."""
    return [_SYMBOLS[byte] for byte in text.encode("utf-8")]


def _merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """The symbols with each occurrence of the pair joined, left to right."""
    merged: list[str] = []
    index = 0
    while index < len(symbols):
        if tuple(symbols[index : index + 2]) == pair:
            merged.append(symbols[index] + symbols[index + 1])
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return merged


def learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The `count` most frequent pair merges inside ASCII letter runs, ties in alphabetic order."""
    words = Counter(word for text in texts for word in _LETTERS.findall(_SPECIAL.sub(" ", text)) if word.isascii())
    # Words that occur once are mostly invented: they cost time and teach nothing.
    spelled = [(_spell(word), number) for word, number in words.items() if number > 1]
    merges: list[tuple[str, str]] = []
    for _ in range(count):
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, number in spelled:
            for pair in pairwise(symbols):
                pairs[pair] += number
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [(_merge(symbols, best), number) for symbols, number in spelled]
    return merges


class Tokenizer:
    """Text to token numbers and back, the same as llama.cpp does it from the GGUF file."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.tokens = [*SPECIAL, *_SYMBOLS, *(left + right for left, right in merges)]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """The tokenizer whose merges were saved at the path."""
        return cls([(left, right) for left, right in json.loads(path.read_text("utf-8"))])

    def save(self, path: Path) -> None:
        """Write the merges as JSON."""
        path.write_text(json.dumps(self.merges, ensure_ascii=False), "utf-8")

    def encode(self, text: str) -> list[int]:
        """The token numbers; special tokens' texts become those tokens."""
        numbers: list[int] = []
        for part in _SPECIAL.split(text):
            if part in self.ids and part in SPECIAL:
                numbers.append(self.ids[part])
                continue
            for piece in _PIECES.findall(part):
                numbers.extend(self._piece(piece))
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of the tokens; broken UTF-8 becomes replacement characters."""
        byte_of = {symbol: byte for byte, symbol in enumerate(_SYMBOLS)}
        raw = bytearray()
        for number in numbers:
            token = self.tokens[number]
            raw += token.encode("utf-8") if token in SPECIAL else bytes(byte_of[symbol] for symbol in token)
        return raw.decode("utf-8", "replace")

    def _piece(self, piece: str) -> list[int]:
        cached = self._cache.get(piece)
        if cached is None:
            cached = [self.ids[symbol] for symbol in self._merge_all(_spell(piece))]
            self._cache[piece] = cached
        return cached

    def _merge_all(self, symbols: list[str]) -> list[str]:
        while True:
            ranked = [(self._ranks[pair], pair) for pair in pairwise(symbols) if pair in self._ranks]
            if not ranked:
                return symbols
            symbols = _merge(symbols, min(ranked)[1])
