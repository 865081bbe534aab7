"""OpenAI's HTTP dialect, as far as Ollama speaks it."""
