"""pollama: a drop-in replacement for the Ollama server and CLI over several GPUs and machines."""

__version__ = "0.1.0"
