"""Programs for those who work on pollama; none of them is installed with it."""
