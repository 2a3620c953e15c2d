"""The instructor engine: one attempt of the instructor library, for models that know no strict JSON Schema.

Its retries stay off, because each of them would be a request that nobody reserved. What it logs quotes answers, so it
is silent while it works for this engine.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import tiktoken
from openai import AsyncOpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

from penstock_tokenizers import count_schema, count_text, count_tools

from ._boundary import mapped
from ._engine import Answer, Question
from ._errors import CompletionError, EndpointUnavailable
from ._filter import struck
from ._native import SCHEMA_MARGIN
from ._shape import Shape
from ._usage import read_usage

_LOGGERS: Final = ("instructor", "instructor.v2", "instructor.v2.retry")

_DESCRIPTION: Final = "Correctly extracted `{name}` with all the required parameters with correct types"
"""How instructor describes the tool of a model without a docstring."""

_silent: ContextVar[bool] = ContextVar("_silent", default=False)


class _Silence(logging.Filter):
    """Drops what is logged on this engine's account."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  logging's signature
        return not _silent.get()


_SILENCE: Final = _Silence()


class InstructorEngine:
    """Asks one deployment by way of instructor.

    Args:
        name: What `Completion.engine` says.
        mode: Instructor's mode: ``"TOOLS"`` or ``"JSON_SCHEMA"``.
        client: The SDK's client.
        deployment: The deployment's name.
        parameters: Further parameters of every request, such as ``temperature``.
    """

    def __init__(
        self, name: str, mode: str, client: AsyncOpenAI, deployment: str, parameters: Mapping[str, Any]
    ) -> None:
        try:
            import instructor  # noqa: PLC0415  an extra: whoever does not ask for it need not have it
            from instructor.core import InstructorError  # noqa: PLC0415  likewise
        except ModuleNotFoundError as error:
            raise ImportError(f'engine {name!r} needs an extra: install "penstock-llm[instructor]"') from error

        self.name = name
        self._instructor: Any = instructor
        self._error = InstructorError
        self._mode = instructor.Mode[mode]
        self._completions = client.with_options(max_retries=0).chat.completions
        self._deployment = deployment
        self._parameters = dict(parameters)
        for logger in _LOGGERS:
            logging.getLogger(logger).addFilter(_SILENCE)

    def shape_tokens(self, shape: Shape[Any], encoding: tiktoken.Encoding) -> int:
        """Count the schema as instructor gives it to the model, and the words around it."""
        if shape.model is None:
            return 0
        schema = shape.model.model_json_schema()
        if self._mode is not self._instructor.Mode.TOOLS:
            return count_text(encoding, shape.name) + count_schema(encoding, schema) + SCHEMA_MARGIN
        described = shape.model.__doc__ or _DESCRIPTION.format(name=shape.name)
        function = {"name": shape.name, "description": described, "parameters": schema}
        return count_tools(encoding, [{"function": function}], {"function": {"name": shape.name}}) + SCHEMA_MARGIN

    async def ask(self, question: Question, *, request_id: str) -> Answer:
        """Send one request; see `Engine.ask`."""
        attempt = _Attempt(self._completions, request_id, self._parameters)
        create = self._instructor.patch(create=attempt.create, mode=self._mode)
        token = _silent.set(True)
        try:
            await create(
                response_model=question.shape.model,
                max_retries=0,
                messages=list(question.messages),
                max_completion_tokens=question.max_completion_tokens,
                model=self._deployment,
            )
        except self._error:
            # What it has to say quotes the answer; whether that is valid is judged where all answers are.
            pass
        finally:
            _silent.reset(token)
        return attempt.outcome()


class _Attempt:
    """The one request that instructor makes, and what came of it."""

    def __init__(self, completions: Any, request_id: str, parameters: Mapping[str, Any]) -> None:  # noqa: ANN401  the SDK's resource
        self._completions = completions
        # The SDK refuses parameters that it does not know yet, unless they come this way.
        self._extra = {"extra_headers": {"x-ms-client-request-id": request_id}, "extra_body": parameters}
        self._result: Answer | CompletionError = EndpointUnavailable(None, code="malformed_answer")

    async def create(self, **request: Any) -> ChatCompletion:  # noqa: ANN401  whatever instructor makes of it
        """Send the request, and keep its answer with the headers, which instructor does not pass on."""
        sending = self._completions.with_raw_response.create(**request, **self._extra)
        try:
            response = await mapped(sending)
            completion: ChatCompletion = response.parse()
            self._result = _answer(completion, response.headers, response.status_code)
        except CompletionError as error:
            self._result = error
            raise
        return completion

    def outcome(self) -> Answer:
        """Return the answer, or raise why there is none."""
        if isinstance(self._result, CompletionError):
            raise self._result
        return self._result


def _answer(completion: ChatCompletion, headers: Mapping[str, str], status: int) -> Answer:
    """Read a completion's one choice.

    Raises:
        EndpointUnavailable: It has none.
    """
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        raise EndpointUnavailable(status, code="malformed_answer", headers=headers)
    choice, usage = completion.choices[0], completion.usage
    calls = choice.message.tool_calls or ()
    arguments = next((call.function.arguments for call in calls if call.type == "function"), None)
    return Answer(
        text=arguments or choice.message.content or "",
        refusal=choice.message.refusal,
        finish_reason=choice.finish_reason,
        usage=read_usage(vars(usage) if isinstance(usage, CompletionUsage) else None),
        headers=headers,
        filtered=struck((choice.model_extra or {}).get("content_filter_results")),
    )
