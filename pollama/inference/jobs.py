"""From options to a job: how Ollama's option values become what the engine is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.inference.prompting import MEDIA_MARKER
from pollama.prompts.reading import Reading
from pollama.types.generation import GenerateJob, Sampling
from pollama.types.json import Json
from pollama.types.options import Options
from pollama.types.requests import GenerationRequest

_PREDICT_FACTOR: Final = 10
"""An answer may be at most this many contexts long; it keeps a model that never stops from running for ever."""

_LEAST_CONTEXT: Final = 4
"""What a runner has at least, however short a request wants its context to be."""

_UNSHIFTABLE_FAMILIES: Final = frozenset({"deepseek2"})


def bounded_predict(num_predict: int, context_length: int) -> int:
    """Return how many tokens may be produced; a negative or excessive wish becomes ten contexts."""
    most = _PREDICT_FACTOR * max(_LEAST_CONTEXT, context_length)
    return most if num_predict < 0 or num_predict > most else num_predict


def context_shift(request: GenerationRequest, family: str) -> bool:
    """Return whether a full context drops its oldest half instead of ending the answer."""
    return request.shift if request.shift is not None else family not in _UNSHIFTABLE_FAMILIES


def sampling(options: Options, request: GenerationRequest) -> Sampling:
    """Return sampler settings in the engine's terms; a negative seed means a random one.

    Raises OptionTypeError for a number that 32 bits cannot hold.
    """
    options.require_finite()
    return Sampling(
        seed=options.seed + request.choice if options.seed >= 0 else None,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        typical_p=options.typical_p or 1.0,
        repeat_last_n=options.repeat_last_n,
        repeat_penalty=options.repeat_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        logit_bias=request.logit_bias,
    )


def generate_job(
    prompt: str,
    media: Sequence[bytes],
    request: GenerationRequest,
    options: Options,
    *,
    context_length: int,
    shift: bool,
    native: bool,
    answer_format: Json = None,
    reading: Reading,
) -> GenerateJob:
    """Return the job for one generation.

    A format leaves no room for calls, nor a required call for a format.
    ``native``: the prompt comes from the GGUF's own template. Such a prompt is never cut, and ``num_predict`` 0 means
    none there, while on the rendered path it means "as the engine likes".
    """
    most = bounded_predict(options.num_predict, context_length)
    return GenerateJob(
        prompt=prompt,
        media=list(media),
        media_marker=MEDIA_MARKER if media else "",
        max_tokens=-1 if most == 0 and not native else most,
        keep=options.num_keep,
        shift=shift,
        truncate=request.truncate is not False and not media and not native,
        stop=list(options.stop),
        sampling=sampling(options, request),
        format=answer_format,
        top_logprobs=request.top_logprobs if request.logprobs else None,
        calls=reading.calls if answer_format is None else None,
        preserved=list(reading.preserved),
    )
