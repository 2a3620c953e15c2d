"""Azure OpenAI on the wire: who may ask, what is refused and how, what an answer costs and when it is judged."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from penstock_local_azure import Deployment, OpenAI

CLASSIC = "/openai/deployments/gpt-4o/chat/completions"
V1 = "/openai/v1/chat/completions"
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 50}
TRUTH = {
    "type": "json_schema",
    "json_schema": {
        "name": "Truth",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"true": {"type": "boolean"}},
            "required": ["true"],
            "additionalProperties": False,
        },
    },
}

TOOL = {"type": "function", "function": {"name": "f"}}
LOOSE = {"type": "object", "properties": {}}
"""A schema that strict mode refuses: it is not closed."""
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


class Client:
    """A client as plain as they come: posts JSON with the key, returns status, headers and JSON."""

    def __init__(self, session: ClientSession, server: OpenAI) -> None:
        self.session = session
        self.server = server

    async def post(
        self, body: Any, path: str = V1, *, key: str | None = None, method: str = "POST"
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"api-key": self.server.api_key if key is None else key}
        async with self.session.request(method, self.server.endpoint + path, data=raw, headers=headers) as response:
            return (
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                await response.json(),
            )

    async def error(self, body: Any, path: str = V1, **options: Any) -> tuple[int, str | None, str]:
        status, _, answered = await self.post(body, path, **options)
        return status, answered["error"]["code"], answered["error"]["message"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    deployments = [Deployment("gpt-4o"), Deployment("small", tpm=1_000, rpm=60, max_output_tokens=900)]
    async with OpenAI(deployments, judge="exact", seed=1, latency=0.0) as server, ClientSession() as session:
        yield Client(session, server)


class TestAccess:
    async def test_the_key_may_come_as_a_bearer_token(self, client: Client) -> None:
        headers = {"Authorization": f"Bearer {client.server.api_key}"}
        async with client.session.post(client.server.endpoint + V1, json=HELLO, headers=headers) as response:
            assert response.status == 200

    @pytest.mark.parametrize(
        "headers", [{}, {"api-key": "wrong"}, {"Authorization": "Bearer é"}, {"Authorization": "x"}]
    )
    async def test_without_the_key_nobody_is_told_anything(self, client: Client, headers: dict[str, str]) -> None:
        async with client.session.post(client.server.endpoint + "/nowhere", json=HELLO, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "401"

    async def test_every_answer_has_an_id_of_its_own(self, client: Client) -> None:
        ids = []
        for body, key in ((HELLO, None), (HELLO, None), (HELLO, "wrong"), (b"{", None)):
            _, headers, _ = await client.post(body, key=key)
            assert headers["x-request-id"] == headers["apim-request-id"]
            ids.append(headers["x-request-id"])

        assert len(set(ids)) == 4


class TestRoutes:
    async def test_on_the_classic_route_the_path_names_the_deployment(self, client: Client) -> None:
        status, _, answered = await client.post({"messages": HELLO["messages"]}, f"{CLASSIC}?api-version=2024-10-21")

        assert (status, answered["model"]) == (200, "gpt-4o")

    async def test_the_classic_route_wants_an_api_version(self, client: Client) -> None:
        status, code, message = await client.error(HELLO, CLASSIC)

        assert (status, code) == (404, "404")
        assert "api-version" in message

    @pytest.mark.parametrize("path", [V1, "/openai/deployments/none/chat/completions?api-version=1"])
    async def test_an_unknown_deployment_is_not_found(self, client: Client, path: str) -> None:
        assert (await client.error({**HELLO, "model": "none"}, path))[:2] == (404, "DeploymentNotFound")

    @pytest.mark.parametrize("path", ["/openai/v1/responses", "/openai/deployments/gpt-4o/audio/speech"])
    async def test_other_operations_are_refused_by_name_and_not_worth_a_retry(self, client: Client, path: str) -> None:
        status, headers, answered = await client.post(HELLO, path)

        assert (status, headers["x-should-retry"]) == (501, "false")
        assert f"POST {path}" in answered["error"]["message"]

    async def test_what_is_not_below_openai_is_not_found(self, client: Client) -> None:
        assert (await client.error(HELLO, "/somewhere"))[:2] == (404, "404")


class TestParameters:
    @pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1]", b'{"seed": NaN}', b"[" * 100_000])
    async def test_a_body_that_is_no_json_object_is_malformed(self, client: Client, raw: bytes) -> None:
        status, _, answered = await client.post(raw)

        assert status == 400
        assert answered["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"messages": None}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": ["hello"]}, "messages.[0]"),
            ({"messages": [{"role": "robot", "content": "a"}]}, "messages.[0].role"),
            ({"messages": [{"role": "user", "content": None}]}, "messages.[0].content"),
            ({"messages": [{"role": "user", "content": "a", "name": 1}]}, "messages.[0].name"),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.[0].content"),
            ({"max_completion_tokens": 0}, "max_completion_tokens"),
            ({"max_completion_tokens": True}, "max_completion_tokens"),
            ({"max_completion_tokens": 16_385}, "max_completion_tokens"),
            ({"max_tokens": 1}, "max_tokens"),
            ({"response_format": "json"}, "response_format"),
            ({"response_format": {"type": "json_schema", "json_schema": {"name": "A"}}}, "response_format"),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "A B", "schema": {}}}},
                "response_format",
            ),
            ({"temprature": 1}, "temprature"),
            ({"stream": "yes"}, "stream"),
            ({"stream_options": {"include_usage": True}}, "stream_options"),
            ({"stream": True, "stream_options": []}, "stream_options"),
            ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
            ({"response_format": {"type": "json_object"}}, "messages"),
            ({"tools": "f"}, "tools"),
            ({"tools": [TOOL] * 129}, "tools"),
            ({"tools": ["f"]}, "tools[0]"),
            ({"tools": [{"type": "function"}]}, "tools[0]"),
            ({"tools": [{"type": "function", "function": {"name": "f f"}}]}, "tools[0].function.name"),
            (
                {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
                "tools[0].function.parameters",
            ),
            (
                {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": LOOSE}}]},
                "tools[0].function.parameters",
            ),
            ({"tool_choice": "auto"}, "tool_choice"),
            ({"parallel_tool_calls": True}, "parallel_tool_calls"),
            ({"tools": [TOOL], "parallel_tool_calls": 1}, "parallel_tool_calls"),
            ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
            ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
            ({"messages": [{"role": "tool", "content": "a"}]}, "messages.[0].tool_call_id"),
            ({"messages": [{"role": "tool", "content": "a", "tool_call_id": "1"}]}, "messages.[0].role"),
            ({"messages": [CALLING]}, "messages.[1]"),
            ({"messages": [CALLING, {"role": "user", "content": "a"}]}, "messages.[1]"),
            ({"messages": [{"role": "assistant", "tool_calls": "f"}]}, "messages.[0].tool_calls"),
            ({"messages": [{"role": "assistant", "tool_calls": ["f"]}]}, "messages.[0].tool_calls.[0]"),
            ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "messages.[0].tool_calls.[0]"),
        ],
    )
    async def test_a_wrong_parameter_is_named(self, client: Client, changes: dict[str, Any], param: str) -> None:
        status, _, answered = await client.post({**HELLO, **changes})

        assert (status, answered["error"]["param"]) == (400, param)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"n": 2}, "'n'"),
            ({"stop": "."}, "'stop'"),
            ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools other than functions"),
            ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "'tool_choice' of type 'allowed_tools'"),
            ({"messages": [{"role": "function", "content": "a"}]}, "functions"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content parts"),
        ],
    )
    async def test_what_the_stand_in_does_not_do_is_named(
        self, client: Client, changes: dict[str, Any], named: str
    ) -> None:
        status, code, message = await client.error({**HELLO, **changes})

        assert (status, code) == (501, "NotImplemented")
        assert named in message

    async def test_parameters_that_change_nothing_here_are_accepted(self, client: Client) -> None:
        idle = {"temperature": 0, "seed": 1, "user": "a", "stream": False, "n": 1, "tools": [], "stop": None}

        assert (await client.post({**HELLO, **idle}))[0] == 200

    async def test_refusals_count_in_no_account(self, client: Client) -> None:
        await client.post({**HELLO, "messages": []})
        await client.post({**HELLO, "n": 2})

        assert client.server.stats()["gpt-4o"]["requests"] == 0


class TestAnswers:
    async def test_a_plain_answer_is_a_sentence(self, client: Client) -> None:
        _, _, answered = await client.post(HELLO)
        (choice,) = answered["choices"]

        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"].endswith(".")

    async def test_an_answer_fits_the_schema(self, client: Client) -> None:
        _, _, answered = await client.post({**HELLO, "response_format": TRUTH})

        assert json.loads(answered["choices"][0]["message"]["content"])["true"] in (True, False)

    async def test_usage_counts_messages_by_the_cookbook_and_the_schema_as_text(self, client: Client) -> None:
        _, _, plain = await client.post(HELLO)
        _, _, typed = await client.post({**HELLO, "response_format": TRUTH})

        # 3 to prime the answer, 3 for the message, 1 each for "user" and "hello".
        assert plain["usage"]["prompt_tokens"] == 8
        assert 8 + 20 < typed["usage"]["prompt_tokens"] < 8 + 40
        usage = typed["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    async def test_text_parts_are_read_as_one_text(self, client: Client) -> None:
        parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]

        _, _, whole = await client.post(HELLO)
        _, _, divided = await client.post({**HELLO, "messages": [{"role": "user", "content": parts}]})

        assert divided["choices"] == whole["choices"]
        assert divided["usage"] == whole["usage"]

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    async def test_an_answer_that_is_too_long_is_cut(self, client: Client, name: str) -> None:
        _, _, answered = await client.post({"model": "gpt-4o", "messages": HELLO["messages"], name: 3})

        assert answered["choices"][0]["finish_reason"] == "length"
        assert answered["usage"]["completion_tokens"] == 3

    async def test_a_prompt_may_hold_anything(self, client: Client) -> None:
        odd = "\0 \ud800 <|endoftext|> 👩🏽‍🚀 שלום \u202e"

        status, _, answered = await client.post({**HELLO, "messages": [{"role": "user", "content": odd}]})

        assert status == 200
        assert answered["usage"]["prompt_tokens"] > 8


class TestLimits:
    async def test_answers_tell_the_limits_and_what_is_left(self, client: Client) -> None:
        _, headers, _ = await client.post({**HELLO, "model": "small"})

        assert headers["x-ratelimit-limit-requests"] == "60"
        assert headers["x-ratelimit-limit-tokens"] == "1000"
        assert headers["x-ratelimit-remaining-requests"] == "59"
        assert headers["x-ratelimit-remaining-tokens"] == str(1000 - 8 - 50)

    async def test_too_many_tokens_are_answered_429_with_the_time_to_wait(self, client: Client) -> None:
        greedy = {**HELLO, "model": "small", "max_completion_tokens": 900}
        await client.post(greedy)

        # The first second's only request is spent, so the second greedy one is asked for in a second of its own.
        async with asyncio.timeout(5):
            while (refused := await client.post(greedy))[2]["error"]["message"].find("token rate limit") < 0:
                pass
        status, headers, answered = refused

        assert (status, answered["error"]["code"]) == (429, "429")
        assert 0 < int(headers["retry-after-ms"]) <= 60_000
        assert 1 <= int(headers["retry-after"]) <= 60
        assert headers["x-ratelimit-remaining-tokens"] == str(1000 - 8 - 900)

    async def test_too_many_requests_are_answered_429_and_counted(self, client: Client) -> None:
        answers = await asyncio.gather(*(client.post({**HELLO, "model": "small"}) for _ in range(3)))
        refused = [answer for answer in answers if answer[0] == 429]
        account = client.server.stats()["small"]

        assert refused
        assert "call rate limit" in refused[0][2]["error"]["message"]
        assert int(refused[0][1]["retry-after-ms"]) <= 1_000
        assert (account["requests"], account["http_429"]) == (3, len(refused))

    async def test_without_a_bound_the_greatest_answer_is_judged(self, client: Client) -> None:
        await client.post({"model": "small", "messages": HELLO["messages"]})

        assert client.server.stats()["small"]["judged_tokens"] == 8 + 900

    async def test_accounts_hold_what_was_judged_and_what_was_billed(self, client: Client) -> None:
        usages = [(await client.post({**HELLO, "response_format": TRUTH}))[2]["usage"] for _ in range(3)]
        account = client.server.stats()["gpt-4o"]

        assert account["requests"] == 3
        assert account["judged_tokens"] == sum(usage["prompt_tokens"] + 50 for usage in usages)
        assert account["billed_tokens"] == sum(usage["total_tokens"] for usage in usages)
        assert account["peak_use"] == account["judged_tokens"] / 600_000
        assert account["judge"] == "exact: fixed minute, no refunds, 1 s request windows"


class TestRequests:
    async def test_the_newest_are_kept_up_to_a_number(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("penstock_local_azure._openai._requests.MOST_REQUESTS", 3)
        for number in range(5):
            await client.post({**HELLO, "messages": [{"role": "user", "content": str(number)}]})

        kept = client.server.requests

        assert [request.body["messages"][0]["content"] for request in kept] == ["2", "3", "4"]
        assert [len(kept[1:]), kept[-1]] == [2, kept[2]]
        assert client.server.stats()["gpt-4o"]["requests"] == 5

    async def test_the_newest_are_kept_up_to_the_size_of_their_bodies(self, client: Client) -> None:
        for name in "abc":
            status, *_ = await client.post({"model": name, "messages": "x" * 33_000_000})
            assert status == 404

        assert [request.deployment for request in client.server.requests] == ["b", "c"]


class TestTime:
    async def test_a_request_is_judged_when_it_arrives_not_when_it_is_answered(self) -> None:
        async with OpenAI(judge="exact", seed=1, latency=3_600.0) as server, ClientSession() as session:
            unanswered = asyncio.create_task(Client(session, server).post(HELLO))
            async with asyncio.timeout(10):
                while not server.stats()["gpt-4o"]["judged_tokens"]:
                    await asyncio.sleep(0.001)

            assert not unanswered.done()
            unanswered.cancel()

    async def test_a_request_whose_client_has_gone_is_given_up(self) -> None:
        async with OpenAI(seed=1, latency=3_600.0) as server, ClientSession() as session:
            tasks = len(asyncio.all_tasks())
            unanswered = asyncio.create_task(Client(session, server).post(HELLO))
            async with asyncio.timeout(10):
                while not server.requests:
                    await asyncio.sleep(0.001)
                unanswered.cancel()
                while len(asyncio.all_tasks()) > tasks:
                    await asyncio.sleep(0.001)

            assert server.requests[0].status is None

    async def test_answers_take_about_as_long_as_told(self) -> None:
        async with OpenAI(seed=1, latency=0.05) as server, ClientSession() as session:
            client = Client(session, server)
            await client.post(HELLO)
            started = asyncio.get_running_loop().time()
            for _ in range(5):
                await client.post(HELLO)

            assert asyncio.get_running_loop().time() - started > 5 * 0.05 / 2

    async def test_it_starts_again_on_the_port_it_had(self) -> None:
        async with OpenAI() as first:
            port = int(first.endpoint.rpartition(":")[2])

        async with OpenAI(port=port) as second:
            assert second.endpoint == first.endpoint


class TestHiddenJudge:
    async def test_it_judges_characters_with_a_bias(self) -> None:
        prompt = {**HELLO, "messages": [{"role": "user", "content": "x" * 40_000}]}
        async with OpenAI(judge="hidden", seed=3, latency=0.0) as server, ClientSession() as session:
            await Client(session, server).post(prompt)
            account = server.stats()["gpt-4o"]

        assert 10_000 * 0.9 * 0.98 <= account["judged_tokens"] - 50 <= 10_000 * 1.15 * 1.02
        assert account["judge"].startswith("hidden: ")

    def test_the_seed_fixes_the_draw(self) -> None:
        draws = [OpenAI(seed=seed).draw for seed in (5, 5, 6)]

        assert draws[0] == draws[1] != draws[2]
        assert OpenAI().draw != OpenAI().draw


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"deployments": []}, "deployments"),
            ({"deployments": [Deployment("a"), Deployment("a")]}, "deployments"),
            ({"judge": "fair"}, "judge"),
            ({"latency": -1}, "latency"),
            ({"latency": float("nan")}, "latency"),
        ],
    )
    def test_a_wrong_option_is_named(self, options: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=f"^{named} must"):
            OpenAI(**options)

    @pytest.mark.parametrize(
        ("name", "options", "named"),
        [
            (" ", {}, "name"),
            ("a", {"model": ""}, "model"),
            ("a", {"tpm": 0}, "tpm"),
            ("a", {"rpm": -1}, "rpm"),
            ("a", {"max_output_tokens": 0}, "max_output_tokens"),
        ],
    )
    def test_a_wrong_deployment_is_named(self, name: str, options: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=f"^{named} must"):
            Deployment(name, **options)
