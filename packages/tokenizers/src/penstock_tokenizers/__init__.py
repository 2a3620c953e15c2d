"""tiktoken encodings that load without a network."""
