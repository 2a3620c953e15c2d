"""What a message says, and what the model answers: the two types a worker of your own replaces first."""

from typing import Literal

from pydantic import BaseModel

APP = "feedback-worker"
"""The name under which the worker asks for quota and writes its logs."""

SYSTEM_PROMPT = (
    "You read customer feedback for a shop. Say how the customer feels, what it is about and how urgent it is, "
    "sum it up in one sentence, and write a short, kind reply in the customer's own language."
)
USER_PROMPT = "Feedback:\n{text}"


class Feedback(BaseModel):
    """One piece of customer feedback, as it lies on the in-queue."""

    text: str


class Analysis(BaseModel):
    """What the model makes of it, as it lies on the out-queue."""

    sentiment: Literal["positive", "neutral", "negative"]
    topics: list[Literal["delivery", "product", "price", "service", "website", "other"]]
    urgency: Literal["low", "normal", "high"]
    summary: str
    reply: str
