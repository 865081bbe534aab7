"""The llama.cpp runner: continuous batching over one loaded model, in a process of its own."""
