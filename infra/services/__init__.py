"""The reference services: a gateway and an engine, small and honest, so that every drill has something real to hit."""
