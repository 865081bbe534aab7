"""HTTP dialects: decode, call, encode."""
