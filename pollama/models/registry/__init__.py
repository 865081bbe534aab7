"""Models over the registry protocol: pull and push."""
