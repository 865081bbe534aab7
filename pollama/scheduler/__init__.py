"""Who runs where and when."""
