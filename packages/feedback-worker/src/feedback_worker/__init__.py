"""The main job: customer feedback in, typed answers out, and an account of every message on the way."""

from feedback_worker._models import Analysis, Feedback

__all__ = ["Analysis", "Feedback"]
