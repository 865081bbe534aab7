"""Runner processes and their clients."""
