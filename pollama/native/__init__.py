"""Typed, checked access to llama.cpp and ggml. Imported in child processes only, never in the head."""
