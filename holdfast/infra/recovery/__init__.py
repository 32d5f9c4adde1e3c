"""Disaster recovery: backups of a stack's stores, restores with a way back, drills that prove both."""
