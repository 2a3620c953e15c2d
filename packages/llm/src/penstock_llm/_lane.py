"""One deployment as the attempt loop sees it: a quota, a way of counting, a way of asking."""

from typing import Protocol, TypeVar

from penstock_token_client import Quota

from ._engine import Answer, Engine, Question
from ._estimate import Estimator
from ._native import NativeEngine

QuestionT_contra = TypeVar("QuestionT_contra", contravariant=True)


class Lane(Protocol[QuestionT_contra]):
    """Where one kind of question can be asked.

    Attributes:
        deployment: The deployment's name.
        operation: What is done there, in the words of OpenTelemetry: ``"chat"`` or ``"embeddings"``.
        engine_name: What `Completion.engine` says of an answer from there.
        quota: Where each attempt's tokens are reserved.
        resting_until: Until when to prefer other deployments, by the loop's clock.
        suggested_max_tokens: What the quota last said is usually enough of an answer.
        closed: Whether its service was closed, so that nothing more can be sent.
    """

    deployment: str
    operation: str
    engine_name: str
    quota: Quota
    resting_until: float
    suggested_max_tokens: int | None
    closed: bool

    async def prompt_tokens(self, question: QuestionT_contra) -> int:
        """Estimate what the model has to read, without holding up the event loop."""

    async def ask(self, question: QuestionT_contra, *, request_id: str) -> Answer:
        """Send one request; see `Engine.ask`."""

    async def learn(self, question: QuestionT_contra, answer: Answer) -> None:
        """Take what an answer says about the estimate."""


class ChatLane:
    """A deployment that answers prompts.

    Args:
        deployment: Its name.
        quota: Where each attempt's tokens are reserved.
        engine: How to ask for typed answers.
        text: How to ask for plain text.
        estimator: How prompts are counted.
    """

    operation = "chat"

    def __init__(self, deployment: str, quota: Quota, engine: Engine, text: NativeEngine, estimator: Estimator) -> None:
        self.deployment = deployment
        self.quota = quota
        self.text = text
        self.engine_name = engine.name
        self._engine = engine
        self.estimator = estimator
        self.resting_until = 0.0
        self.suggested_max_tokens: int | None = None
        self.closed = False

    async def prompt_tokens(self, question: Question) -> int:
        """Count messages and schema."""
        messages = await self.estimator.messages_off_loop(question.messages)
        return messages + self.estimator.overhead(question.shape)

    async def ask(self, question: Question, *, request_id: str) -> Answer:
        """Send one request."""
        engine = self.text if question.shape.schema is None else self._engine
        return await engine.ask(question, request_id=request_id)

    async def learn(self, question: Question, answer: Answer) -> None:
        """Learn what the schema really costs."""
        if answer.usage is not None and question.shape.schema is not None:
            messages = await self.estimator.messages_off_loop(question.messages)
            self.estimator.learn(question.shape, answer.usage.prompt_tokens - messages)
