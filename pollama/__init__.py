"""pollama: a drop-in replacement for the Ollama server and CLI over several GPUs and machines."""

__version__ = "0.1.0"

OLLAMA_VERSION = "0.30.3"
"""The Ollama release whose behaviour is reproduced; registries gate models on this number."""
