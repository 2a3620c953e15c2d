"""Local stand-ins, on the wire, for Service Bus, Azure OpenAI and Blob Storage: for development and tests."""
