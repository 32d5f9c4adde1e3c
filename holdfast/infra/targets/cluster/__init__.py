"""Kubernetes: an owner's cluster, or a whole one on this machine for tests (`local/`)."""
