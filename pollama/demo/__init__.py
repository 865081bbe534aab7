"""The demo model, `demo.gguf`: a small chat model for a first try without a network."""
