"""Built-in renderers: prompt formats in code, for models whose manifest names one.

One file per family, which begins with the family's wire format.
"""

from __future__ import annotations

from pollama.prompts.renderers.base import RenderContext, RendererFamily, RenderError
from pollama.prompts.renderers.cogito import COGITO
from pollama.prompts.renderers.cohere import COHERE
from pollama.prompts.renderers.deepseek31 import DEEPSEEK_3_1
from pollama.prompts.renderers.functiongemma import FUNCTIONGEMMA
from pollama.prompts.renderers.gemma4 import GEMMA_4_LARGE, GEMMA_4_SMALL
from pollama.prompts.renderers.glimmer import GLIMMER
from pollama.prompts.renderers.glm import GLM_4_7, GLM_OCR
from pollama.prompts.renderers.laguna import LAGUNA, LAGUNA_V8
from pollama.prompts.renderers.lfm2 import LFM2, LFM2_THINKING
from pollama.prompts.renderers.nemotron3 import NEMOTRON_3_5_NANO, NEMOTRON_3_NANO
from pollama.prompts.renderers.olmo3 import OLMO_3, OLMO_3_1, OLMO_3_32B_THINK, OLMO_3_THINK
from pollama.prompts.renderers.qwen3_coder import QWEN3_CODER
from pollama.prompts.renderers.qwen3_vl import QWEN3_VL_INSTRUCT, QWEN3_VL_THINKING
from pollama.prompts.renderers.qwen35 import ORNITH, QWEN3_5, QWEN3_8
from pollama.types.goquote import go_quote

RENDERERS: dict[str, RendererFamily] = {
    "cogito": COGITO,
    "cohere": COHERE,
    "deepseek3.1": DEEPSEEK_3_1,
    "functiongemma": FUNCTIONGEMMA,
    "gemma4": GEMMA_4_SMALL,
    "gemma4-large": GEMMA_4_LARGE,
    "gemma4-small": GEMMA_4_SMALL,
    "glimmer": GLIMMER,
    "glm-4.7": GLM_4_7,
    "glm-ocr": GLM_OCR,
    "laguna": LAGUNA,
    "lfm2": LFM2,
    "lfm2-thinking": LFM2_THINKING,
    "nemotron-3-nano": NEMOTRON_3_NANO,
    "nemotron-3.5-nano": NEMOTRON_3_5_NANO,
    "olmo3": OLMO_3,
    "olmo3-32b-think": OLMO_3_32B_THINK,
    "olmo3-think": OLMO_3_THINK,
    "olmo3.1": OLMO_3_1,
    "ornith": ORNITH,
    "poolside-v1": LAGUNA_V8,
    "qwen3-coder": QWEN3_CODER,
    "qwen3-vl-instruct": QWEN3_VL_INSTRUCT,
    "qwen3-vl-thinking": QWEN3_VL_THINKING,
    "qwen3.5": QWEN3_5,
    "qwen3.8": QWEN3_8,
}
"""Name in the manifest -> family."""


def find_renderer(name: str) -> RendererFamily:
    """Return the built-in renderer that a manifest names. Raises RenderError where the name is not known."""
    try:
        return RENDERERS[name]
    except KeyError:
        raise RenderError(f"unknown renderer {go_quote(name)}") from None


__all__ = ["RENDERERS", "RenderContext", "RenderError", "RendererFamily", "find_renderer"]
