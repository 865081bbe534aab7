"""pollama and llama-server side by side: the same requests over HTTP, in turns, on the same machine."""
