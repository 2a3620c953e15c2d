"""Azure OpenAI under quota: prompts, typed answers, one reservation per attempt."""
