"""Runners: the processes that hold a loaded model, and how the head reaches them."""
