"""Anthropic's HTTP dialect, as far as Ollama speaks it."""
