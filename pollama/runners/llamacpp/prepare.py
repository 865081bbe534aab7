"""From a GenerateJob to a Sequence: tokens, sampler, limits. Runs off the engine thread."""

from __future__ import annotations

import json
from collections.abc import Callable

from pollama.errors import GenerationError, PromptTooLongError
from pollama.native.errors import NativeError
from pollama.native.media import MediaPrompt, Projector
from pollama.native.sampler import Grammar
from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.cells import cells_per_position
from pollama.runners.llamacpp.grammar import call_grammar, grammar_of
from pollama.runners.llamacpp.sampling import TokenChooser, chain_settings
from pollama.runners.llamacpp.sequences import Limits, Sequence
from pollama.runners.llamacpp.shift import ShiftRule, cut_prompt
from pollama.types.generation import GenerateJob


class Preparer:
    """Turns jobs into sequences of one model. ``context`` is the length that was asked for, ``window`` what fits."""

    def __init__(
        self, vocabulary: Vocabulary, *, context: int, window: int, projector: Projector | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._projector = projector
        self._context = context
        self._window = window

    def sequence(self, ticket: int, job: GenerateJob, proceed: Callable[[], None] = lambda: None) -> Sequence:
        """Return a sequence that is ready to run. Raises PromptTooLongError, FormatError or GenerationError (400).

        ``proceed`` is called before every costly part and ends the work by raising.
        """
        proceed()
        media = self._media_prompt(job, proceed) if job.media else MediaPrompt(self._prompt(job), {})
        prompt = self._checked(media.tokens)
        rule = ShiftRule(self._window, job.keep, len(prompt), self._vocabulary.adds_bos)
        return Sequence(
            ticket=ticket,
            tokens=rule.after(prompt, job.produced),
            limits=Limits(max_tokens=job.max_tokens, shift=job.shift and not media.chunks),
            shift_rule=rule,
            chooser=self._chooser(job, prompt),
            prompt_length=len(prompt),
            generated=len(job.produced),
            media=media.chunks,
            alternatives=job.top_logprobs,
        )

    def _chooser(self, job: GenerateJob, prompt: list[int]) -> TokenChooser:
        self._vocabulary.checked(job.produced)
        self._check_bias(job.sampling.logit_bias)
        settings = chain_settings(job.sampling, self._window)
        chooser = TokenChooser(self._vocabulary, settings, self._grammar(job), job.sampling.logit_bias)
        try:
            chooser.remember([token for token in prompt if token >= 0] + job.produced)
            chooser.resume(job.produced, job.draws)
        except NativeError:
            chooser.close()
            raise
        return chooser

    def _check_bias(self, bias: dict[int, float]) -> None:
        try:
            self._vocabulary.checked(list(bias))
        except NativeError as error:
            raise GenerationError(f"logit_bias: {error}", 400) from error

    def _grammar(self, job: GenerateJob) -> Grammar | None:
        text = job.grammar
        if job.format not in (None, ""):
            text = grammar_of(job.format)
        elif job.calls is not None:
            text = call_grammar(job.calls)
        if not text:
            return None
        try:
            return Grammar(self._vocabulary, text)
        except NativeError as error:
            raise GenerationError(str(error), 400) from error

    def _prompt(self, job: GenerateJob) -> list[int]:
        tokens = self._tokens(job)
        if job.truncate and len(tokens) > self._context - 1:
            tokens = self._shortened(tokens, job)
        return tokens

    def _checked(self, tokens: list[int]) -> list[int]:
        """Return ``tokens``, which fit the window, in cells as in positions, and end with something to go on from."""
        cells = sum(cells_per_position(tokens))
        if cells >= self._window:
            raise PromptTooLongError(_overflow_body(cells, self._window))
        if tokens and tokens[-1] < 0:
            raise GenerationError("the prompt ends with an image or audio: text must follow it", 400)
        return tokens

    def _media_prompt(self, job: GenerateJob, proceed: Callable[[], None]) -> MediaPrompt:
        if self._projector is None:
            raise GenerationError("this model takes no images and no audio", 400)
        texts = job.prompt.split(job.media_marker) if job.media_marker else [job.prompt]
        if len(texts) != len(job.media) + 1:
            raise GenerationError(f"the prompt has {len(texts) - 1} places for {len(job.media)} images or audio", 400)
        try:
            return self._projector.prompt(texts, job.media, proceed)
        except NativeError as error:
            raise GenerationError(str(error), 400) from error

    def _tokens(self, job: GenerateJob) -> list[int]:
        if job.tokens is not None:
            self._vocabulary.checked(job.tokens)
            return list(job.tokens)
        return self._vocabulary.tokenize(job.prompt, add_special=True, parse_special=True)

    def _shortened(self, tokens: list[int], job: GenerateJob) -> list[int]:
        if not job.shift:
            raise PromptTooLongError(
                "the prompt is longer than the context length currently available to the model; shorten the prompt, "
                "adjust the context length in settings, or use a model with a longer context length"
            )
        return cut_prompt(tokens, self._context, job.keep, adds_bos=self._vocabulary.adds_bos)


def _overflow_body(tokens: int, context: int) -> str:
    """Return the body that llama-server answers to a prompt that does not fit; clients see it as the error text."""
    message = f"request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"
    error = {
        "code": 400,
        "message": message,
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": context,
    }
    return json.dumps({"error": error}, separators=(",", ":"))
