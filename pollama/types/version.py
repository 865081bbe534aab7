"""The release of Ollama that pollama stands in for."""

from __future__ import annotations

from typing import Final

OLLAMA_VERSION: Final = "0.30.3"
"""The release whose behaviour is reproduced; registries gate models on this number."""
