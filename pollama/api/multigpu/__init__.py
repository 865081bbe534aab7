"""What pollama does with several devices: shown under /api/multigpu."""
