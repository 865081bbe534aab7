"""``benchmark``: how fast the server answers under load, by strategy and number of clients."""
