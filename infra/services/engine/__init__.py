"""The engine: gRPC, deterministic answers, one effect row for each executed chat."""
