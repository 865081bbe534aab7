"""From tokens to text that is final: UTF-8 and stop strings over token borders. Runs in the event loop's thread."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from pollama.runners.llamacpp.stops import Cut, StopMatcher
from pollama.types.generation import Delta, Logprob


@dataclass(frozen=True, slots=True)
class TokenScore:
    """Log probability of a chosen token and of the best alternatives, before any sampler."""

    logprob: float
    top: Sequence[tuple[int, float]] = ()


class Written(msgspec.Struct, frozen=True):
    """What one token added: a delta, if text became final, and the stop string it completed."""

    delta: Delta | None = None
    stopped_by: str = ""


class TextWriter:
    """Turns the tokens of one sequence into deltas.

    ``piece`` gives a token's bytes. A delta carries the ids of all tokens behind its text and, when scores are given,
    one log probability: that of its last token, as llama-server reports it.
    """

    def __init__(self, piece: Callable[[int], bytes], stops: Sequence[str]) -> None:
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopMatcher(stops)
        self._undecoded = ""
        self._broken = False
        self._tokens: list[int] = []
        self._draws = 0

    def write(self, token: int, score: TokenScore | None = None, draws: int = 0) -> Written:
        """Take the next token; ``draws`` are the random numbers used so far."""
        self._tokens.append(token)
        self._draws = draws
        if not self._decode(self._piece(token)):
            return Written()
        cut = self._push()
        if cut is None:
            return Written()
        if cut.stopped_by and not cut.text:
            return Written(stopped_by=cut.stopped_by)
        return Written(self._delta(cut.text, score), cut.stopped_by)

    def _decode(self, data: bytes) -> bool:
        """Take the bytes of a token; tell whether they end with a whole character."""
        if data.isascii() and not self._broken:
            self._undecoded += data.decode("ascii")
            return True
        self._undecoded += self._decoder.decode(data)
        self._broken = bool(self._decoder.getstate()[0])
        return not self._broken

    def _push(self) -> Cut | None:
        text, self._undecoded = self._undecoded, ""
        return self._stops.push(text)

    def resume(self, tokens: Sequence[int]) -> str:
        """Go on behind ``tokens`` of an earlier run: what of their text was not final yet is still to come.

        Returns the stop string that they completed, if they did.
        """
        completed = [written.stopped_by for written in map(self.write, tokens) if written.stopped_by]
        self._tokens = []
        return completed[0] if completed else ""

    def broken_off(self) -> Delta | None:
        """Return the tokens whose text is held back, without it, so that a later run can go on behind them."""
        return self._delta("", None) if self._tokens else None

    def finish(self) -> Written:
        """Return what was held back for the rest of a character or of a stop string; half a character is dropped."""
        cut = self._push() or Cut(self._stops.flush())
        return Written(self._delta(cut.text, None) if cut.text else None, cut.stopped_by)

    def _delta(self, text: str, score: TokenScore | None) -> Delta:
        tokens, self._tokens = self._tokens, []
        logprobs = [self._logprob(text, score)] if score else []
        return Delta(text=text, tokens=tokens, logprobs=logprobs, draws=self._draws)

    def _logprob(self, text: str, score: TokenScore) -> Logprob:
        top = [self._alternative(token, logprob) for token, logprob in score.top]
        return Logprob(token=text, logprob=score.logprob, data=text.encode(), top=top)

    def _alternative(self, token: int, logprob: float) -> Logprob:
        data = self._piece(token)
        return Logprob(token=data.decode("utf-8", "ignore"), logprob=logprob, data=data)
