"""Where a stack runs: one folder a target."""
