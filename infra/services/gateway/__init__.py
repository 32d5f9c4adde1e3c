"""The gateway: HTTP and SSE in front of the engine; I/O only."""
