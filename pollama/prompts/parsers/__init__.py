"""Output parsers: from the model's text to content, thinking and tool calls.

Built-in parsers are listed here by the name that a manifest gives; one file per family, which begins
with the family's wire format.
"""

from __future__ import annotations

from pollama.prompts.parsers import (
    cohere,
    deepseek3,
    functiongemma,
    gemma4,
    glimmer,
    glm,
    harmony,
    laguna,
    lfm2,
    ministral,
    olmo3,
    passthrough,
    qwen3,
    qwen3_coder,
)
from pollama.prompts.parsers.base import (
    Output,
    OutputParser,
    ParserContext,
    ParserError,
    ParserFamily,
)
from pollama.types.model import Model

PARSERS: dict[str, ParserFamily] = {
    "cogito": deepseek3.COGITO,
    "cohere": cohere.FAMILY,
    "deepseek3": deepseek3.DEEPSEEK3,
    "functiongemma": functiongemma.FAMILY,
    "gemma4": gemma4.GEMMA4,
    "gemma4-no-thinking": gemma4.NO_THINKING,
    "glimmer": glimmer.FAMILY,
    "glm-4.7": glm.GLM47,
    "glm-ocr": glm.GLM_OCR,
    "harmony": harmony.FAMILY,
    "laguna": laguna.LAGUNA,
    "lfm2": lfm2.LFM2,
    "lfm2-thinking": lfm2.LFM2_THINKING,
    "ministral": ministral.FAMILY,
    "nemotron-3-nano": qwen3_coder.NEMOTRON3,
    "nemotron-3.5-nano": qwen3_coder.NEMOTRON3,
    "olmo3": olmo3.OLMO3,
    "olmo3-think": olmo3.THINKING,
    "ornith": qwen3_coder.QWEN35,
    "passthrough": passthrough.FAMILY,
    "poolside-v1": laguna.POOLSIDE,
    "qwen3": qwen3.QWEN3,
    "qwen3-coder": qwen3_coder.FAMILY,
    "qwen3-thinking": qwen3.QWEN3_THINKING,
    "qwen3-vl-instruct": qwen3.QWEN3_VL,
    "qwen3-vl-thinking": qwen3.QWEN3_VL_THINKING,
    "qwen3.5": qwen3_coder.QWEN35,
}
"""Name in the manifest -> family."""


def find_parser(name: str) -> ParserFamily | None:
    """Return the built-in parser that a manifest names, or None where the name is not known."""
    return PARSERS.get(name)


def parser_of(model: Model) -> ParserFamily | None:
    """Return the built-in parser that reads the answers of a model, if there is one."""
    return PARSERS.get("harmony" if model.traits.selected == "harmony" else model.stored.config.parser)


__all__ = [
    "PARSERS",
    "Output",
    "OutputParser",
    "ParserContext",
    "ParserError",
    "ParserFamily",
    "find_parser",
    "parser_of",
]
