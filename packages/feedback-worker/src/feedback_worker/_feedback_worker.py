"""The worker: receive feedback, ask the model under the shared quota, send the answer on."""

from feedback_worker._models import APP, SYSTEM_PROMPT, USER_PROMPT, Analysis, Feedback
from penstock_llm import AzureOpenAIService, Completion, CompletionError
from penstock_servicebus import AsyncServiceBusHandler, MessageContext
from penstock_token_client import TokenClient

MAX_TOKENS = 400
"""A cap on the answer, in tokens: it is reserved in full, so it is kept near what answers need."""

DEADLINE = 1800.0
"""Seconds for one answer, waiting for quota included: well within the hour for which a message's lock is renewed."""


class FeedbackWorker:
    """Analyses feedback; endpoints and credentials are taken from the environment."""

    def __init__(self, in_queue: str, out_queue: str, *, concurrency: int = 16) -> None:
        """Prepare a worker.

        Args:
            in_queue: Where feedback comes from.
            out_queue: Where answers go.
            concurrency: Messages handled at a time.

        Raises:
            ValueError: A setting is missing or wrong; the text names the variable.
        """
        self._quota = TokenClient(APP)
        self._model = AzureOpenAIService(app_id=APP, quota=self._quota, deadline=DEADLINE)
        self._handler = AsyncServiceBusHandler(self.process, in_queue, out_queue, max_concurrency=concurrency)

    async def process(self, feedback: Feedback, context: MessageContext) -> Analysis:
        """Answer one message; the answer is on the out-queue before the message is completed."""
        messages = self._model.format_prompt(SYSTEM_PROMPT, USER_PROMPT, variables={"text": feedback.text})
        try:
            completion = await self._model.complete(Analysis, messages, max_tokens=MAX_TOKENS)
        except CompletionError as error:
            _tell_times(context, error)
            raise
        _tell_times(context, completion)
        return completion.value

    async def run(self) -> None:
        """Handle messages until a signal, then drain."""
        async with self._quota, self._model:
            await self._handler.run()

    async def stop(self) -> None:
        """Drain, as at a signal."""
        await self._handler.stop()


def _tell_times(context: MessageContext, came_of_it: Completion[Analysis] | CompletionError) -> None:
    """Have the line about a message say where its time went."""
    context.times.quota_wait += came_of_it.quota_wait
    context.times.model_time += came_of_it.model_time
