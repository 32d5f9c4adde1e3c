"""The cluster's half of a stack: typed plans, pure functions that build manifests, components that register them.

Nothing here imports Pulumi until a component is imported, so that a stack loads without it.
"""
