"""What the API is built from; ``server.py`` fills it in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aiohttp import web

from pollama.types.devices import Device, Link, Telemetry
from pollama.types.events import Done, Embeddings, Piece, Rendered
from pollama.types.ports import Library, Scheduler, Settings, Steering
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest

CloudSource = Literal["none", "env", "config", "both"]
LinkReader = Callable[[Sequence[Device]], Sequence[Link]]
TelemetryReader = Callable[[], Awaitable[Sequence[Telemetry]]]


class InferencePath(Protocol):
    """Carries out requests (``pollama.inference``). Errors before the first event come out of the first step."""

    def chat(self, request: ChatRequest, *, client: str = "") -> AsyncIterator[Piece | Done | Rendered]:
        """Continue a conversation."""
        ...

    def complete(self, request: CompletionRequest, *, client: str = "") -> AsyncIterator[Piece | Done | Rendered]:
        """Complete a prompt."""
        ...

    async def count_tokens(self, request: ChatRequest, *, client: str = "") -> int:
        """Return the length of a conversation's prompt."""
        ...

    async def embed(self, request: EmbedRequest, *, client: str = "") -> Embeddings:
        """Embed texts."""
        ...


def no_links(devices: Sequence[Device]) -> Sequence[Link]:
    """Know of no links."""
    return ()


async def no_telemetry() -> Sequence[Telemetry]:
    """Know nothing of how devices are doing."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers call, and the settings that show in answers.

    ``version`` is what clients are told. ``listen_host`` is the address that the server listens on; on a loopback
    address the Host header is verified. ``origins`` are all allowed origins in the syntax of OLLAMA_ORIGINS, the
    defaults included. ``cloud_source`` says which setting turned cloud features off. ``links`` tells how devices are
    joined, and may read files; ``telemetry`` how they are doing.
    """

    inference: InferencePath
    library: Library
    scheduler: Scheduler
    steering: Steering
    settings: Settings
    version: str
    listen_host: str
    origins: tuple[str, ...]
    cloud_disabled: bool = False
    cloud_source: CloudSource = "none"
    links: LinkReader = no_links
    telemetry: TelemetryReader = no_telemetry


SERVICES = web.AppKey("services", Services)
"""Where handlers find the services."""
