"""What pollama costs: measured, not tested."""
