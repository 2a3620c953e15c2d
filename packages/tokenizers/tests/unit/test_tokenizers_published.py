"""Counts against published ones: OpenAI's cookbook to the token, LiteLLM's never undercut and hardly exceeded."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock_tokenizers import count_messages, count_prompt, count_schema, encoding_for

# OpenAI's cookbook, "How to count tokens with tiktoken", sections 6 and 7: what the API itself counted.
COOKBOOK_CHAT = [
    {
        "role": "system",
        "content": (
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."
        ),
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": (
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."
        ),
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
COOKBOOK_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                    "unit": {
                        "type": "string",
                        "description": "The unit of temperature to return",
                        "enum": ["celsius", "fahrenheit"],
                    },
                },
                "required": ["location"],
            },
        },
    }
]
COOKBOOK_QUESTION = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]

DATA = Path(__file__).parents[1] / "data" / "litellm_counts.jsonl"
HEADER, *CASES = map(json.loads, DATA.read_text(encoding="utf-8").splitlines())


def estimate(case: dict[str, Any], encoding: str) -> int:
    if "schema" in case:
        return count_schema(encoding_for(encoding), case["schema"])
    tools, choice = case.get("tools", ()), case.get("tool_choice")
    return count_prompt(encoding_for(encoding), case["messages"], tools, choice)


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("gpt-4o", 124)])
def test_the_cookbooks_chat_is_counted_as_the_api_counted_it(model: str, tokens: int) -> None:
    assert count_messages(encoding_for(model), COOKBOOK_CHAT) == tokens


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 105), ("gpt-4o", 101)])
def test_the_cookbooks_tools_are_counted_as_the_api_counted_them(model: str, tokens: int) -> None:
    assert count_prompt(encoding_for(model), COOKBOOK_QUESTION, COOKBOOK_TOOLS) == tokens


@pytest.mark.parametrize("encoding", HEADER["models"])
def test_no_estimate_is_under_litellms_count_and_they_are_hardly_above_it(encoding: str) -> None:
    pairs = [(estimate(line["case"], encoding), line["counts"][encoding]) for line in CASES]
    assert len(pairs) > 200, f"counted by LiteLLM {HEADER['litellm']}; scripts/make_litellm_counts.py wrote them"
    assert not [(ours, theirs) for ours, theirs in pairs if ours < theirs]
    assert sum(ours / theirs for ours, theirs in pairs) / len(pairs) <= 1.05


@pytest.mark.parametrize("kind", ["messages", "tools", "schema"])
def test_no_kind_of_case_is_estimated_well_only_on_the_others_account(kind: str) -> None:
    kinds = [
        line for line in CASES if kind == next(key for key in ("schema", "tools", "messages") if key in line["case"])
    ]
    ratios = [estimate(line["case"], name) / count for line in kinds for name, count in line["counts"].items()]
    assert len(ratios) >= 100
    assert sum(ratios) / len(ratios) <= 1.05
