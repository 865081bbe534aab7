"""The interactive conversation of ``run``."""
