"""How a model is prompted, and what it can do: decided from its manifest, its templates and one setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pollama.errors import TemplateError
from pollama.prompts.chat_template import chat_capabilities, chat_round_trips_tools
from pollama.prompts.gotemplate import DEFAULT_TEMPLATE, GoTemplate, parse_template
from pollama.prompts.parsers import ParserFamily, find_parser
from pollama.types.model import ModelConfig, PromptMode, PromptTraits, StoredModel

Selected = Literal["renderer_parser", "renderer", "parser", "harmony", "go_template", "gguf_chat_template", "none"]

_HARMONY_FAMILIES: Final = frozenset(("gptoss", "gpt-oss"))
_ROUND_TRIP_SIGNS: Final = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
_LOST: Final = {"gemma4": ("vision", "audio"), "nemotron": ("vision", "audio"), "glimmer": ("audio",)}
"""Renderer family of a safetensors model -> what its engine cannot do although the config says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSources:
    """What a prompt can be made from. ``go_template`` and ``chat_template`` are texts; None or empty = absent."""

    config: ModelConfig
    go_template: str | None
    chat_template: str

    @property
    def go(self) -> GoTemplate | None:
        """The Go template, or the default one; None when it does not parse."""
        try:
            return parse_template(DEFAULT_TEMPLATE if self.go_template is None else self.go_template)
        except TemplateError:
            return None

    @property
    def is_harmony(self) -> bool:
        """Whether a template speaks the gpt-oss format."""
        text = self.go_template or ""
        return self.config.model_family in _HARMONY_FAMILIES and "<|start|>" in text and "<|end|>" in text


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of the sources is used. ``uses_go`` also holds beside a named renderer or parser."""

    selected: Selected
    mode: PromptMode
    uses_go: bool


def select(sources: PromptSources, *, setting: bool | None, prefers_chat: bool) -> Selection:
    """Decide how prompts are made.

    ``setting`` is OLLAMA_GO_TEMPLATE (None = unset); ``prefers_chat`` the outcome of ``prefers_chat_template``.
    """
    config = sources.config
    wanted = not prefers_chat if setting is None else setting
    uses_go = sources.go_template is not None and wanted
    if config.renderer and config.parser:
        selected: Selected = "renderer_parser"
    elif config.renderer or config.parser:
        selected = "renderer" if config.renderer else "parser"
    elif sources.is_harmony:
        selected = "harmony"
    elif uses_go:
        selected = "go_template"
    else:
        selected = "gguf_chat_template" if sources.chat_template else "none"
    native = selected in ("gguf_chat_template", "none") and config.model_format != "safetensors"
    return Selection(selected=selected, mode="native" if native else "rendered", uses_go=uses_go)


def prefers_chat_template(sources: PromptSources) -> bool:
    """Tell whether the Jinja template is the better one of the two, where nothing else decides."""
    config = sources.config
    if sources.go_template is None or not sources.chat_template:
        return False
    if config.renderer or config.parser or sources.is_harmony:
        return False
    chat, go = set(chat_capabilities(sources.chat_template)), set(go_capabilities(sources.go))
    chat_round_trip = chat_round_trips_tools(sources.chat_template)
    go_round_trip = go_round_trips_tools(sources.go)
    if len(chat) > len(go):
        return chat_round_trip or not go_round_trip
    return chat == go and "tools" in chat and chat_round_trip and not go_round_trip


def go_capabilities(template: GoTemplate | None) -> tuple[str, ...]:
    """Return which of ``tools``, ``insert`` and ``thinking`` a Go template shows; none when it does not parse."""
    if template is None:
        return ()
    found = {
        "tools": "tools" in template.variables,
        "insert": "suffix" in template.variables,
        "thinking": all(template.thinking_tags),
    }
    return tuple(name for name, present in found.items() if present)


def go_round_trips_tools(template: GoTemplate | None) -> bool:
    """Tell whether a Go template renders both calls of tools and their results."""
    if template is None or not template.variables >= {"tools", "toolcalls"}:
        return False
    return any(sign in template.source for sign in _ROUND_TRIP_SIGNS)


def traits(stored: StoredModel, *, setting: bool | None) -> PromptTraits:
    """Return mode and capabilities of a model."""
    sources = PromptSources(
        config=stored.config,
        go_template=stored.template,
        chat_template=stored.spec.chat_template if stored.spec else "",
    )
    prefers_chat = setting is None and prefers_chat_template(sources)
    selection = select(sources, setting=setting, prefers_chat=prefers_chat)
    return PromptTraits(
        mode=selection.mode,
        selected=selection.selected,
        capabilities=stored_capabilities(stored, sources, selection),
        listed_capabilities=_without_lost(stored.config, _listed(stored, sources)),
    )


def stored_capabilities(stored: StoredModel, sources: PromptSources, selection: Selection) -> tuple[str, ...]:
    """Return capabilities in the order of /api/show."""
    return _without_lost(stored.config, _shown(stored, sources, selection))


def _shown(stored: StoredModel, sources: PromptSources, selection: Selection) -> Iterator[str]:
    spec, config = stored.spec, stored.config
    yield from config.capabilities
    if spec and selection.mode == "native":
        yield from chat_capabilities(sources.chat_template)
    if spec:
        yield "completion" if spec.pooling_type is None else "embedding"
        yield from _media(vision=spec.has_vision, audio=spec.has_audio)
    yield from _media(vision=bool(stored.projectors), audio=_projector_hears(stored))
    if selection.uses_go:
        yield from go_capabilities(sources.go)
    yield from _parser_capabilities(find_parser(config.parser))
    if config.model_family in _HARMONY_FAMILIES:
        yield "thinking"


def _listed(stored: StoredModel, sources: PromptSources) -> Iterator[str]:
    """Yield capabilities as /api/tags orders them; GGUF chat templates are not looked at."""
    spec, config = stored.spec, stored.config
    if spec:
        yield from _media(vision=spec.has_vision, audio=spec.has_audio)
        yield "completion" if spec.pooling_type is None else "embedding"
    yield from config.capabilities
    found = {*go_capabilities(sources.go), *_parser_capabilities(find_parser(config.parser))}
    if config.model_family in _HARMONY_FAMILIES:
        found.add("thinking")
    yield from (name for name in ("tools", "insert", "thinking") if name in found)
    yield from _media(vision=bool(stored.projectors), audio=False)


def _media(*, vision: bool, audio: bool) -> Iterator[str]:
    if vision:
        yield "vision"
    if audio:
        yield "audio"


def _projector_hears(stored: StoredModel) -> bool:
    return stored.projector_has_audio and stored.projector_type != "gemma3nv"


def _parser_capabilities(family: ParserFamily | None) -> Iterator[str]:
    if family and family.tools:
        yield "tools"
    if family and family.thinking:
        yield "thinking"


def _without_lost(config: ModelConfig, found: Iterable[str]) -> tuple[str, ...]:
    """Return each capability once, without those that the model's engine takes away."""
    lost = {"audio"} if "nemotron_h_omni" in (config.model_family, *(config.model_families or ())) else set()
    if config.model_format == "safetensors":
        for prefix, names in _LOST.items():
            if config.renderer.startswith(prefix):
                lost.update(names)
    return tuple(name for name in dict.fromkeys(found) if name not in lost)
