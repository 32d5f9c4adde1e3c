"""Schema changes: the window in which a release and the database fit together."""
