"""What the API is built from; ``server.py`` fills it in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import web

from pollama.types.devices import Device, Link
from pollama.types.events import Done, Embeddings, Piece, Rendered
from pollama.types.multigpu import MultiGpu
from pollama.types.ports import Library, Scheduler
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest

CloudSource = Literal["none", "env", "config", "both"]
LinkReader = Callable[[Sequence[Device]], Sequence[Link]]


class InferencePath(Protocol):
    """Carries out requests (``pollama.inference``). Errors before the first event come out of the first step."""

    def chat(self, request: ChatRequest, *, client: str = "") -> AsyncIterator[Piece | Done | Rendered]:
        """Continue a conversation."""
        ...

    def complete(self, request: CompletionRequest, *, client: str = "") -> AsyncIterator[Piece | Done | Rendered]:
        """Complete a prompt."""
        ...

    async def embed(self, request: EmbedRequest, *, client: str = "") -> Embeddings:
        """Embed texts."""
        ...


def no_links(devices: Sequence[Device]) -> Sequence[Link]:
    """Know of no links."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers call, and the settings that show in answers.

    ``version`` is what clients are told. ``listen_host`` is the address that the server listens on; on a loopback
    address the Host header is verified. ``origins`` are all allowed origins in the syntax of OLLAMA_ORIGINS, the
    defaults included. ``cloud_source`` says which setting turned cloud features off. ``links`` tells how devices are
    joined, and may read files.
    """

    inference: InferencePath
    library: Library
    scheduler: Scheduler
    version: str
    listen_host: str
    origins: tuple[str, ...]
    cloud_disabled: bool = False
    cloud_source: CloudSource = "none"
    multi_gpu: MultiGpu = field(default_factory=MultiGpu)
    links: LinkReader = no_links


SERVICES = web.AppKey("services", Services)
"""Where handlers find the services."""
