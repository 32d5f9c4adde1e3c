"""Pulumi's Automation API behind typed verbs: up, preview, refresh, down of a stack's half on a cluster."""
