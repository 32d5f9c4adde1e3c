"""What a person or a pipeline runs: the commands, and the one place that joins the packages (compose.py)."""
