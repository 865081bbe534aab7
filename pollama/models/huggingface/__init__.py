"""Models of the Hugging Face hub: which files of a repository make a model, and how they come into the store."""
