"""Device workers: processes that serve one device to one runner through ggml's RPC, on the loopback interface."""
