"""Holds the planner to reality: every layout that is possible is run, and compared with what was chosen."""
