"""Stacks, where they run, and how a release reaches them."""
