"""The service: Azure OpenAI's typed answers, each attempt under quota."""

import random
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import httpx2
from openai import AsyncOpenAI
from pydantic import BaseModel

from penstock_token_client import Quota

from ._attempts import Attempts
from ._checks import check_encodings, check_number, check_parameters, check_seconds
from ._connection import connect
from ._course import Course
from ._default_quota import default_quota
from ._estimate import Estimator
from ._messages import Message, checked
from ._native import NativeEngine
from ._prompt import Example, build_prompt
from ._settings import read_deployment
from ._shape import TEXT, Shape, shape_of
from ._usage import Completion

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

DEFAULT_MAX_COMPLETION_TOKENS: Final = 1024
DEFAULT_RETRIES: Final = 3


class AzureOpenAIService:
    """Asks one deployment, and closes on exit what it made itself.

    Args:
        model: The deployment's name. Default: ``AZURE_OPENAI_DEPLOYMENT_NAME``.
        app_id: As whom to ask the token counter, if ``quota`` is not given.
        quota: A `TokenClient`, a `LocalQuota` or `Unlimited`. Default: the counter at ``TOKEN_COUNTER_URL``, and
            without that variable no limit, with a warning.
        endpoint: The resource's URL. Default: ``AZURE_OPENAI_ENDPOINT``.
        api_key: Default: ``AZURE_OPENAI_API_KEY``; without a key and a credential, Entra ID's default chain.
        api_version: Selects the classic route. Default: ``AZURE_OPENAI_API_VERSION``, else the v1 route.
        credential: An asynchronous token credential, instead of a key.
        scope: Of Entra ID's tokens. Default: ``AZURE_OPENAI_SCOPE``, else that of Azure's public cloud.
        client: A ready client of the SDK, instead of all the arguments about the endpoint.
        http_client: A transport of your own (proxy, CA) for the client this service makes.
        max_completion_tokens: The largest answer, in tokens, that is allowed and reserved for, at least 1.
        deadline: Seconds for one completion with all its attempts and waits, unless a call says otherwise.
        timeout: Seconds without a byte from the endpoint after which an attempt is given up.
        encodings: Deployment to model or encoding, for deployments whose names do not say their model.
        parameters: Further parameters of every request, such as ``{"temperature": 0}``.

    Raises:
        ValueError: Something is missing, malformed or said twice; the message names it.
    """

    def __init__(
        self,
        model: str | None = None,
        app_id: str = "default",
        *,
        quota: Quota | None = None,
        endpoint: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        credential: "AsyncTokenCredential | None" = None,
        scope: str | None = None,
        client: AsyncOpenAI | None = None,
        http_client: httpx2.AsyncClient | None = None,
        max_completion_tokens: int = DEFAULT_MAX_COMPLETION_TOKENS,
        deadline: float | None = None,
        timeout: float = 600.0,
        encodings: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        check_number("max_completion_tokens", max_completion_tokens, least=1)
        check_seconds("deadline", deadline)
        check_seconds("timeout", timeout)
        check_parameters(parameters)
        deployment = read_deployment(model)
        check_encodings(deployment, encodings)
        connection = connect(
            client,
            endpoint=endpoint,
            api_key=api_key,
            api_version=api_version,
            credential=credential,
            scope=scope,
            http_client=http_client,
            timeout=timeout,
        )
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(connection.aclose)
        if quota is None:
            quota = default_quota(app_id)
            self._closing.push_async_callback(quota.aclose)
        self._estimator = Estimator(deployment, encodings)
        engine = NativeEngine(connection.client, deployment, parameters or {})
        self._attempts = Attempts(quota, engine, self._estimator)
        self._max_completion_tokens = max_completion_tokens
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        """Return the service, which is ready since it was constructed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close what this service made: its client, its credential, its client of the token counter."""
        await self._closing.aclose()

    def format_prompt(
        self,
        system_prompt: str,
        user_prompt: str,
        variables: Mapping[str, Any] | None = None,
        examples: Iterable[Example] | None = None,
    ) -> list[Message]:
        """Build the messages of a prompt.

        Args:
            system_prompt: The instructions; blank leaves them out.
            user_prompt: The question.
            variables: Values for ``{name}`` in both prompts. Every other brace, also in the values, is text, and
                ``{{name}}`` is the text ``{name}``. None: no placeholder is replaced.
            examples: Questions and answers to show first, as pairs or as mappings with ``user`` and ``assistant``
                (or ``input`` and ``output``). An answer may be a Pydantic model.

        Raises:
            ValueError: A variable has no value, or the question is blank; the message names it.
        """
        return build_prompt(system_prompt, user_prompt, variables, examples)

    def count_tokens(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Count the tokens of messages, by the rule of OpenAI's cookbook."""
        return self._estimator.messages(checked(messages))

    def estimate_token_count(
        self,
        messages: Iterable[Mapping[str, Any]],
        max_tokens: int | None = None,
        response_model: type[BaseModel] | None = None,
    ) -> int:
        """Count what an attempt reserves: messages, schema with a margin, and the largest answer.

        Args:
            messages: The prompt.
            max_tokens: The largest answer. Default: the service's ``max_completion_tokens``.
            response_model: The model of the answer, if it is to be typed.
        """
        shape = TEXT if response_model is None else shape_of(response_model)
        return self._estimator.prompt(checked(messages), shape) + self._largest(max_tokens)

    async def structured_completion(
        self,
        response_model: type[ModelT],
        messages: Iterable[Mapping[str, Any]],
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
    ) -> ModelT:
        """Return an answer that fits a Pydantic model; `complete` also tells what it took."""
        completion = await self.complete(response_model, messages, max_tokens=max_tokens, max_retries=max_retries)
        return completion.value

    async def complete(
        self,
        response_model: type[ModelT],
        messages: Iterable[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> Completion[ModelT]:
        """Ask for an answer that fits a Pydantic model.

        Each attempt reserves its own quota before it is sent and reports its use afterwards. An answer that does not
        fit is shown to the model with what is wrong; one that is cut off is asked for once more with the service's
        ``max_completion_tokens``, if it was given less; 429, 5xx and broken connections are waited out.

        Args:
            response_model: A Pydantic model class.
            messages: The prompt, as `format_prompt` builds it.
            max_tokens: The largest answer. Default: the service's ``max_completion_tokens``.
            max_retries: How many requests may follow the first, for whatever reason.
            deadline: Seconds for everything. Default: the service's.

        Raises:
            TypeError, ValueError: An argument is wrong; nothing was sent.
            CompletionError: There is no valid answer; see its subclasses.
            QuotaError: There was no quota in time, or the token counter is out of reach.
        """
        shape = shape_of(response_model)
        return await self._complete(shape, messages, max_tokens=max_tokens, max_retries=max_retries, deadline=deadline)

    async def send_prompt(
        self,
        system_prompt: str,
        user_prompt: str,
        variables: Mapping[str, Any] | None = None,
        *,
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> str:
        """Ask for plain text; the arguments are those of `format_prompt` and `complete`."""
        messages = self.format_prompt(system_prompt, user_prompt, variables)
        completion = await self._complete(
            TEXT, messages, max_tokens=max_tokens, max_retries=max_retries, deadline=deadline
        )
        return completion.value

    async def _complete(
        self,
        shape: Shape[T],
        messages: Iterable[Mapping[str, Any]],
        *,
        max_tokens: int | None,
        max_retries: int,
        deadline: float | None,
    ) -> Completion[T]:
        """Check the arguments and run the attempts."""
        check_number("max_retries", max_retries, least=0)
        check_seconds("deadline", deadline)
        course = Course(
            shape,
            checked(messages),
            max_completion_tokens=self._largest(max_tokens),
            largest=self._max_completion_tokens,
            retries=max_retries,
            random=random.random,
        )
        return await self._attempts.run(course, self._deadline if deadline is None else deadline)

    def _largest(self, max_tokens: int | None) -> int:
        """Return the largest answer to allow."""
        if max_tokens is None:
            return self._max_completion_tokens
        return check_number("max_tokens", max_tokens, least=1)
