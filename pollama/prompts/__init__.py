"""Prompt formats, pure: text in, text out."""
