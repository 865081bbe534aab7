"""Values that cross layers. Standard library only; no behaviour beyond construction and derived facts."""
