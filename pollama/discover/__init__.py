"""Devices: what there is, what it can do, how it is doing."""
