"""What no object may be registered without: a check a file, pure over manifests; and the hook that runs them."""
