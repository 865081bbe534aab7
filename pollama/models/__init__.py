"""The model store: names, manifests, blobs, GGUF headers, Modelfiles, create."""
