"""The mock as a client of each API sees it: a tool call that writes the file, then the last words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

from pipeline.verify.mock.app import Mock
from pipeline.verify.mock.turns import LAST_WORDS, Task

TASK = Task("/workspace/it's.txt", "Hello")
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
    "required": ["path", "content"],
}
WRITTEN = {"path": "/workspace/it's.txt", "content": "Hello\n"}


@dataclass(frozen=True, slots=True)
class Client:
    """How one API is used: its two requests, and how a client puts together what is streamed, or reads the whole."""

    path: str
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    streamed: Callable[[list[dict[str, Any]]], object]
    whole: Callable[[dict[str, Any]], object]
    whole_path: str = ""


def _anthropic(events: list[dict[str, Any]]) -> object:
    assert [event["type"] for event in events] == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    block, delta = events[1]["content_block"], events[2]["delta"]
    if block["type"] == "tool_use":
        return block["name"], json.loads(delta["partial_json"]), events[4]["delta"]["stop_reason"]
    return delta["text"], events[4]["delta"]["stop_reason"]


def _anthropic_whole(document: dict[str, Any]) -> object:
    (block,) = document["content"]
    said = (block["name"], block["input"]) if block["type"] == "tool_use" else (block["text"],)
    return (*said, document["stop_reason"])


def _responses(events: list[dict[str, Any]]) -> object:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    (item,) = (event["item"] for event in events if event["type"] == "response.output_item.done")
    assert events[-1]["response"]["output"] == [item]
    return _responses_item(item)


def _responses_whole(document: dict[str, Any]) -> object:
    return _responses_item(document["output"][0])


def _responses_item(item: dict[str, Any]) -> object:
    if item["type"] == "function_call":
        return item["name"], json.loads(item["arguments"]), item["status"]
    return item["content"][0]["text"], item["status"]


def _chat(events: list[dict[str, Any]]) -> object:
    (first,), (last,) = (event["choices"] for event in events)
    return _chat_message(first["delta"], last["finish_reason"])


def _chat_whole(document: dict[str, Any]) -> object:
    (choice,) = document["choices"]
    return _chat_message(choice["message"], choice["finish_reason"])


def _chat_message(message: dict[str, Any], finish: str) -> object:
    if calls := message.get("tool_calls"):
        return calls[0]["function"]["name"], json.loads(calls[0]["function"]["arguments"]), finish
    return message["content"], finish


def _gemini(events: list[dict[str, Any]]) -> object:
    (document,) = events
    return _gemini_whole(document)


def _gemini_whole(document: dict[str, Any]) -> object:
    (candidate,) = document["candidates"]
    (part,) = candidate["content"]["parts"]
    if call := part.get("functionCall"):
        return call["name"], call["args"], candidate["finishReason"]
    return part["text"], candidate["finishReason"]


CLIENTS = {
    "anthropic": (
        Client(
            "/v1/messages",
            {"tools": [{"name": "Write", "input_schema": SCHEMA}], "messages": [{"role": "user", "content": "go"}]},
            {"tools": [], "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "ok"}]}]},
            _anthropic,
            _anthropic_whole,
        ),
        ("tool_use", "end_turn"),
    ),
    "responses": (
        Client(
            "/v1/responses",
            {
                "tools": [
                    {"type": "custom", "name": "patch"},
                    {"type": "function", "name": "Write", "parameters": SCHEMA},
                ],
                "input": "go",
            },
            {"input": [{"type": "message", "content": "go"}, {"type": "function_call_output", "output": "ok"}]},
            _responses,
            _responses_whole,
        ),
        ("completed", "completed"),
    ),
    "chat": (
        Client(
            "/v1/chat/completions",
            {
                "tools": [{"type": "function", "function": {"name": "Write", "parameters": SCHEMA}}],
                "messages": [{"role": "user", "content": "go"}],
            },
            {"messages": [{"role": "user", "content": "go"}, {"role": "tool", "content": "ok"}]},
            _chat,
            _chat_whole,
        ),
        ("tool_calls", "stop"),
    ),
    "gemini": (
        Client(
            "/v1beta/models/gemini:streamGenerateContent",
            {
                "tools": [{"functionDeclarations": [{"name": "Write", "parametersJsonSchema": SCHEMA}]}],
                "contents": [{"role": "user", "parts": [{"text": "go"}]}],
            },
            {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "Write"}}]}]},
            _gemini,
            _gemini_whole,
            "/v1beta/models/gemini:generateContent",
        ),
        ("STOP", "STOP"),
    ),
}


def request(
    method: str, path: str, body: Mapping[str, Any] | None = None, task: Task = TASK, content: bytes = b""
) -> httpx.Response:
    """Ask the mock, in this process."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Mock(task))
        async with httpx.AsyncClient(transport=transport, base_url="http://mock") as client:
            return await client.request(method, path, **({"json": body} if body else {"content": content}))

    return anyio.run(ask)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the documents of an event stream."""
    assert response.headers["content-type"] == "text/event-stream"
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("name", CLIENTS)
def test_the_first_turn_is_a_tool_call_and_the_second_the_last_words(name: str) -> None:
    """Streamed."""
    client, (called, ended) = CLIENTS[name]
    stream = {} if client.whole_path else {"stream": True}
    first = request("POST", client.path, {**client.first, **stream})
    second = request("POST", client.path, {**client.second, **stream})

    assert client.streamed(events(first)) == ("Write", WRITTEN, called)
    assert client.streamed(events(second)) == (LAST_WORDS, ended)


@pytest.mark.parametrize("name", CLIENTS)
def test_who_wants_no_stream_gets_one_document(name: str) -> None:
    """With the same answer."""
    client, (called, ended) = CLIENTS[name]
    path = client.whole_path or client.path

    assert client.whole(request("POST", path, client.first).json()) == ("Write", WRITTEN, called)
    assert client.whole(request("POST", path, client.second).json()) == (LAST_WORDS, ended)


@pytest.mark.parametrize("name", CLIENTS)
def test_without_tools_there_is_no_call(name: str) -> None:
    """As when a client asks for a title."""
    client, _ = CLIENTS[name]
    bare = {key: value for key, value in client.first.items() if key != "tools"}

    assert "No tools" in request("POST", client.whole_path or client.path, bare).text


@pytest.mark.parametrize("name", CLIENTS)
def test_a_mock_that_calls_no_tool_only_talks(name: str) -> None:
    """Which is how a work test is seen to fail."""
    client, _ = CLIENTS[name]
    task = Task(TASK.path, TASK.content, calls_tools=False)

    assert "calls no tool" in request("POST", client.whole_path or client.path, client.first, task).text


def test_a_chat_stream_ends_as_clients_expect() -> None:
    """With a line that is no JSON."""
    client, _ = CLIENTS["chat"]

    assert request("POST", client.path, {**client.first, "stream": True}).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("HEAD", "/", ""),
        ("GET", "/", ""),
        ("GET", "/v1/models", "data"),
        ("POST", "/v1/messages/count_tokens", "input_tokens"),
        ("POST", "/v1beta/models/gemini:countTokens", "totalTokens"),
        ("POST", "/api/event_logging/batch", ""),
    ],
)
def test_what_is_no_turn_is_answered_kindly(method: str, path: str, key: str) -> None:
    """Probes, lists, counts and telemetry."""
    response = request(method, path)

    assert response.status_code == 200
    assert method == "HEAD" or not key or key in response.json()


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[1]", b"{"])
def test_a_body_that_is_no_object_counts_as_empty(content: bytes) -> None:
    """Telemetry may be compressed."""
    assert request("POST", "/v1/messages", content=content).status_code == 200


def test_every_request_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a failing test shows how far the agent came."""
    client, _ = CLIENTS["anthropic"]
    request("GET", "/v1/models")
    request("POST", client.path, client.first)
    request("POST", client.path, client.second)

    assert capsys.readouterr().err.splitlines() == [
        "mock: GET /v1/models",
        "mock: POST /v1/messages (anthropic) offered Write: call Write",
        f"mock: POST /v1/messages (anthropic) with a tool result: {len(LAST_WORDS)} letters",
    ]


def test_a_websocket_is_refused() -> None:
    """Clients that try one first go on with HTTP."""
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        await Mock(TASK)({"type": "websocket", "path": "/v1/responses"}, receive, send)

    anyio.run(ask)

    assert [message["type"] for message in sent] == ["websocket.close"]
