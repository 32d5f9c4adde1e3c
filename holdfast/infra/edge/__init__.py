"""Envoy's configuration, built by pure functions."""
