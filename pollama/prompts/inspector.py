"""The reading of prompt formats that the model store asks for."""

from __future__ import annotations

from pollama.prompts import traits
from pollama.prompts.detect import detect
from pollama.prompts.gotemplate import parse_template
from pollama.types.model import PromptTraits, StoredModel


class PromptInspector:
    """The port ``Inspector``. ``go_template`` is OLLAMA_GO_TEMPLATE: force Go templates on or off, None = unset."""

    def __init__(self, *, go_template: bool | None = None) -> None:
        self._go_template = go_template

    def traits(self, stored: StoredModel) -> PromptTraits:
        """Return mode and capabilities; a template that does not parse has no capabilities."""
        return traits.traits(stored, setting=self._go_template)

    def check_template(self, text: str) -> None:
        """Raise TemplateError with Go's text when ``text`` does not parse."""
        parse_template(text)

    def detect_template(self, chat_template: str) -> tuple[str, str, list[str]] | None:
        """Return (name, Go template, stop strings) of the known template nearest to a GGUF's Jinja text."""
        return detect(chat_template)
