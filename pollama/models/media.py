"""Media types of the layers of a model."""

from __future__ import annotations

from typing import Final

MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG: Final = "application/vnd.docker.container.image.v1+json"
MODEL: Final = "application/vnd.ollama.image.model"
PROJECTOR: Final = "application/vnd.ollama.image.projector"
ADAPTER: Final = "application/vnd.ollama.image.adapter"
DRAFT: Final = "application/vnd.ollama.image.draft"
TENSOR: Final = "application/vnd.ollama.image.tensor"
TEMPLATE: Final = "application/vnd.ollama.image.template"
PROMPT: Final = "application/vnd.ollama.image.prompt"
"""Old name of TEMPLATE; read, never written."""
SYSTEM: Final = "application/vnd.ollama.image.system"
PARAMETERS: Final = "application/vnd.ollama.image.params"
MESSAGES: Final = "application/vnd.ollama.image.messages"
LICENSE: Final = "application/vnd.ollama.image.license"
