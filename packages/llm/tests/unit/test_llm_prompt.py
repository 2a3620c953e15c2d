"""Prompts from templates: a missing variable names itself, braces in values are text, examples come first."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from penstock_llm import AzureOpenAIService
from penstock_token_client import Unlimited


class Verdict(BaseModel):
    score: int


@pytest.fixture(scope="module")
def service() -> AzureOpenAIService:
    return AzureOpenAIService("gpt-4o", quota=Unlimited(), endpoint="http://127.0.0.1:9", api_key="k")


def test_variables_are_filled_into_both_prompts(service: AzureOpenAIService) -> None:
    messages = service.format_prompt("You are {role}.", "Rate {n} of {n}.", {"role": "terse", "n": 2})
    assert messages == [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Rate 2 of 2."},
    ]


@given(value=st.text())
def test_a_value_is_text_whatever_braces_it_holds(service: AzureOpenAIService, value: str) -> None:
    (message,) = service.format_prompt("", "<{value}>", {"value": value})
    assert message["content"] == f"<{value}>"


@pytest.mark.parametrize(
    "template", ['{"a": {"b": 1}}', "{ name }", "{}", "{0}", "a } b { c", "{name", "name}", "{a.b}", "{a[0]}", "{a!r}"]
)
def test_braces_around_anything_but_a_name_are_text(service: AzureOpenAIService, template: str) -> None:
    (message,) = service.format_prompt("", template, {"name": "x"})
    assert message["content"] == template


def test_a_name_in_doubled_braces_is_text(service: AzureOpenAIService) -> None:
    (message,) = service.format_prompt("", "{{name}} is {name}", {"name": "x"})
    assert message["content"] == "{name} is x"


def test_without_variables_a_template_is_text(service: AzureOpenAIService) -> None:
    (message,) = service.format_prompt("", "{name} {{name}}")
    assert message["content"] == "{name} {{name}}"


@pytest.mark.parametrize(
    ("system", "user", "argument"), [("{topic}", "hi", "system_prompt"), ("", "{topic} {other}", "user_prompt")]
)
def test_a_missing_variable_names_itself(service: AzureOpenAIService, system: str, user: str, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"variables: no value for topic, which {argument} names"):
        service.format_prompt(system, user, {"other": 1})


@pytest.mark.parametrize(
    "example",
    [
        ("bad", Verdict(score=1)),
        {"user": "bad", "assistant": Verdict(score=1)},
        {"input": "bad", "output": '{"score":1}'},
    ],
)
def test_examples_stand_between_instructions_and_question(service: AzureOpenAIService, example: Any) -> None:
    messages = service.format_prompt("Rate.", "{x}", {"x": "fine"}, [example])
    assert [(message["role"], message["content"]) for message in messages] == [
        ("system", "Rate."),
        ("user", "bad"),
        ("assistant", '{"score":1}'),
        ("user", "fine"),
    ]


def test_examples_are_no_templates(service: AzureOpenAIService) -> None:
    messages = service.format_prompt("", "{x}", {"x": "fine"}, [("{y}", "{z}")])
    assert [message["content"] for message in messages] == ["{y}", "{z}", "fine"]


@pytest.mark.parametrize("example", ["bad", ("a", "b", "c"), {"user": "bad"}])
def test_an_example_of_another_form_is_refused_by_its_place(service: AzureOpenAIService, example: Any) -> None:
    with pytest.raises(ValueError, match=re.escape("examples[1] must be a pair")):
        service.format_prompt("", "x", None, [("a", "b"), example])


def test_a_blank_question_is_refused(service: AzureOpenAIService) -> None:
    with pytest.raises(ValueError, match="user_prompt must not be blank"):
        service.format_prompt("Rate.", " {x} ", {"x": ""})


def test_a_prompt_that_is_no_string_is_refused(service: AzureOpenAIService) -> None:
    with pytest.raises(TypeError, match="system_prompt must be a string, not NoneType"):
        service.format_prompt(None, "x")  # type: ignore[arg-type]
