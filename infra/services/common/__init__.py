"""What both services share: environment, config, lifecycle, trace context, metrics, the HTTP server."""
