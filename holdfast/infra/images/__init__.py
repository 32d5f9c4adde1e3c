"""Images without a registry and without a container engine: root file system, layers, OCI archive."""
