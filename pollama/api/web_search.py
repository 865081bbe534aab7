"""The web search that newer dialects have built in. It belongs to Ollama's cloud, so here it only fails."""

from __future__ import annotations

from typing import Final

from pollama.api.cloud import cloud_disabled
from pollama.api.services import Services
from pollama.errors import PollamaError, UnauthorizedError
from pollama.types.messages import Tool, ToolParameters, ToolProperty

WEB_SEARCH: Final = "web_search"
"""The name of the function, and the beginning of the tool's ``type``."""


def web_search_tool() -> Tool:
    """Return the function that stands for the built-in tool."""
    query = ToolProperty(type=("string",), description="The search query to look up on the web")
    return Tool(
        type="function",
        name=WEB_SEARCH,
        description="Search the web for current information",
        parameters=ToolParameters(type="object", required=["query"], properties={"query": query}),
    )


def web_unavailable(services: Services, what: str = "search") -> PollamaError:
    """Return why the web cannot be used: cloud features are turned off, or nobody is signed in."""
    if services.cloud_disabled:
        return cloud_disabled(f"web {what} is unavailable")
    return UnauthorizedError("unauthorized")
