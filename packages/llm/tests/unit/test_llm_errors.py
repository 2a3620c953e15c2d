"""Errors travel between processes with everything they say: a pool of processes sends them pickled."""

import pickle

import pytest

from penstock_llm import (
    AnswerRefused,
    AnswerTruncated,
    CompletionError,
    ContentFiltered,
    DeadlineExceeded,
    EndpointUnavailable,
    InvalidAnswer,
    NotSent,
    RequestRejected,
)
from penstock_llm._usage import Attempt, Usage

ATTEMPT = Attempt(
    deployment="gpt-4o",
    request_id="token:rate",
    reserved=30,
    usage=Usage(prompt_tokens=20, completion_tokens=10),
    outcome="invalid",
    status=200,
    quota_wait=0.1,
    seconds=0.5,
)


@pytest.mark.parametrize(
    "error",
    [
        InvalidAnswer("Verdict", [("score", "int_parsing")]),
        AnswerTruncated(1024),
        AnswerRefused("I would rather not."),
        ContentFiltered("answer", ["hate"], status=200),
        RequestRejected(400, code="c", param="p", detail="d", headers={"x": "y"}),
        EndpointUnavailable(429, code="c", passing=False, sent=False, retry_after=3.0, headers={"x": "y"}),
        DeadlineExceeded(5.0),
        NotSent("no quota", environment=True, retry_after=2.0),
    ],
)
def test_an_error_says_the_same_in_another_process(error: CompletionError | NotSent) -> None:
    if isinstance(error, CompletionError):
        error.attempts = (ATTEMPT,)

    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301  our own

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
