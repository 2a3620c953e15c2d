"""Prompts from templates: variables filled in, examples in front of the question."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from ._messages import Message

Example = Mapping[str, Any] | tuple[Any, Any]
"""A question and its answer, as a pair or under ``user`` and ``assistant`` (or ``input`` and ``output``)."""

# {{name}} is the text {name}; {name} is a variable; every other brace is text.
_PLACEHOLDER: Final = re.compile(r"\{\{(?P<literal>[A-Za-z_]\w*)\}\}|\{(?P<name>[A-Za-z_]\w*)\}")
_KEYS: Final = (("user", "assistant"), ("input", "output"))


def build_prompt(
    system_prompt: str,
    user_prompt: str,
    variables: Mapping[str, Any] | None,
    examples: Iterable[Example] | None,
) -> list[Message]:
    """Return the messages of a prompt; see `AzureOpenAIService.format_prompt`."""
    system = _filled("system_prompt", system_prompt, variables)
    user = _filled("user_prompt", user_prompt, variables)
    if not user.strip():
        raise ValueError("user_prompt must not be blank")
    opening = [_message("system", system)] if system.strip() else []
    shown = [message for index, example in enumerate(examples or ()) for message in _example(example, index)]
    return [*opening, *shown, _message("user", user)]


def _filled(argument: str, template: str, variables: Mapping[str, Any] | None) -> str:
    """Replace the placeholders of one template; values are text, whatever braces they hold."""
    if not isinstance(template, str):
        raise TypeError(f"{argument} must be a string, not {type(template).__name__}")
    if variables is None:
        return template
    named = {match["name"] for match in _PLACEHOLDER.finditer(template) if match["name"]}
    if missing := sorted(named - variables.keys()):
        raise ValueError(f"variables: no value for {', '.join(missing)}, which {argument} names")
    return _PLACEHOLDER.sub(
        lambda match: str(variables[match["name"]]) if match["name"] else f"{{{match['literal']}}}", template
    )


def _example(example: Example, index: int) -> list[Message]:
    """Turn one example into a question and an answer."""
    if isinstance(example, tuple) and len(example) == len(_KEYS[0]):
        question, answer = example
    elif isinstance(example, Mapping) and (keys := next((pair for pair in _KEYS if example.keys() >= {*pair}), None)):
        question, answer = (example[key] for key in keys)
    else:
        raise ValueError(f"examples[{index}] must be a pair, or a mapping with 'user' and 'assistant'")
    return [_message("user", _text(question)), _message("assistant", _text(answer))]


def _text(value: object) -> str:
    """Write an example's side as text: models as the JSON that is asked for."""
    return value.model_dump_json() if isinstance(value, BaseModel) else str(value)


def _message(role: str, content: str) -> Message:
    """Build one message."""
    return {"role": role, "content": content}
