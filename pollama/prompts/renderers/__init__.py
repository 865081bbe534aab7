"""Built-in renderers: prompt formats in code, for models whose manifest names one.

One file per family, which begins with the family's wire format.
"""

from __future__ import annotations

from pollama.prompts.renderers.base import RenderContext, RendererFamily, RenderError
from pollama.prompts.renderers.qwen3_coder import QWEN3_CODER
from pollama.prompts.renderers.qwen3_vl import QWEN3_VL_INSTRUCT, QWEN3_VL_THINKING
from pollama.prompts.renderers.qwen35 import ORNITH, QWEN3_5, QWEN3_8
from pollama.types.goquote import go_quote

RENDERERS: dict[str, RendererFamily] = {
    "ornith": ORNITH,
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
