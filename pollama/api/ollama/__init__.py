"""Ollama's own HTTP dialect: everything under ``/api``."""
