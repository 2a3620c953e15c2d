"""Ask for shared Azure OpenAI quota before calling a model: from a token counter, or in-process."""
