"""Checks against recorded behaviour of Ollama."""
