"""Generated protobuf code of infra/proto; written by scripts/gen, never by hand."""
