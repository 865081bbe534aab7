"""Built-in renderers: prompt formats in code, for models whose manifest names one.

One file per family, which begins with the family's wire format.
"""

from __future__ import annotations

from pollama.prompts.renderers.base import RenderContext, RendererFamily, RenderError
from pollama.types.goquote import go_quote

RENDERERS: dict[str, RendererFamily] = {}
"""Name in the manifest -> family."""


def find_renderer(name: str) -> RendererFamily:
    """Return the built-in renderer that a manifest names. Raises RenderError where the name is not known."""
    try:
        return RENDERERS[name]
    except KeyError:
        raise RenderError(f"unknown renderer {go_quote(name)}") from None


__all__ = ["RENDERERS", "RenderContext", "RenderError", "RendererFamily", "find_renderer"]
