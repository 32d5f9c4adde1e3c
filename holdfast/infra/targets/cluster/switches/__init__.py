"""How the traffic moves on a cluster: one file a kind, each with the same words."""
