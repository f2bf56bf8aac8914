"""The four model APIs, each as two functions: what a request says, and how an answer is spelled as events.

Only what clients need to go on is sent. Forms: Anthropic's Messages, OpenAI's Responses and Chat Completions, Google's
generateContent. An event is a name (or "") and a JSON document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipeline.verify.mock.turns import Call, Tool, Turn

MODEL = "mock-model"
Document: TypeAlias = Mapping[str, Any]
Event: TypeAlias = tuple[str, Document]

_CALL_ID = "call_mock_1"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API. `events` is the streamed form, `whole` the answer of a request that wants no stream."""

    name: str
    path: re.Pattern[str]
    read: Callable[[Document], Turn]
    events: Callable[[Call | str], Iterable[Event]]
    whole: Callable[[Call | str], Document]
    end: str = ""

    def streams(self, path: str, body: Document) -> bool:
        """Tell whether a request wants a stream: one API says so in the path, the others in the body."""
        return path.endswith(":streamGenerateContent") or body.get("stream") is True


def _read_anthropic(body: Document) -> Turn:
    tools = tuple(Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ())
    blocks = (block for message in body.get("messages") or () for block in _blocks(message.get("content")))
    return Turn(tools, any(block.get("type") == "tool_result" for block in blocks))


def _blocks(content: object) -> Iterable[Document]:
    return content if isinstance(content, list) else ()


def _anthropic_message(content: list[Document], stop: str | None) -> Document:
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "msg_mock", "type": "message", "role": "assistant", "model": MODEL}
    return {**head, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def _whole_anthropic(answer: Call | str) -> Document:
    if isinstance(answer, Call):
        block = {"type": "tool_use", "id": "toolu_mock_1", "name": answer.tool, "input": answer.arguments}
        return _anthropic_message([block], "tool_use")
    return _anthropic_message([{"type": "text", "text": answer}], "end_turn")


def _anthropic_events(answer: Call | str) -> Iterable[Event]:
    if isinstance(answer, Call):
        block: Document = {"type": "tool_use", "id": "toolu_mock_1", "name": answer.tool, "input": {}}
        delta: Document = {"type": "input_json_delta", "partial_json": json.dumps(answer.arguments)}
        stop = "tool_use"
    else:
        block, delta, stop = {"type": "text", "text": ""}, {"type": "text_delta", "text": answer}, "end_turn"
    for event in (
        {"type": "message_start", "message": _anthropic_message([], None)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    ):
        yield str(event["type"]), event


def _read_responses(body: Document) -> Turn:
    tools = tuple(
        Tool(tool["name"], tool.get("parameters") or {})
        for tool in body.get("tools") or ()
        if tool.get("type") == "function"
    )
    return Turn(tools, any(item.get("type") == "function_call_output" for item in _blocks(body.get("input"))))


def _response(output: list[Document], status: str) -> Document:
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    head = {"id": "resp_mock", "object": "response", "created_at": 0, "model": MODEL}
    return {**head, "status": status, "output": output, "usage": usage}


def _responses_item(answer: Call | str) -> Document:
    if isinstance(answer, Call):
        call = {"name": answer.tool, "arguments": json.dumps(answer.arguments), "call_id": _CALL_ID}
        return {"type": "function_call", "id": "fc_mock", "status": "completed", **call}
    content = [{"type": "output_text", "text": answer, "annotations": []}]
    return {"type": "message", "id": "msg_mock", "status": "completed", "role": "assistant", "content": content}


def _responses_events(answer: Call | str) -> Iterable[Event]:
    item = _responses_item(answer)
    empty: Document = {"arguments": ""} if isinstance(answer, Call) else {"content": []}
    events: tuple[Document, ...] = (
        {"type": "response.created", "response": _response([], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, **empty}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response([item], "completed")},
    )
    for number, event in enumerate(events):
        yield str(event["type"]), {**event, "sequence_number": number}


def _whole_responses(answer: Call | str) -> Document:
    return _response([_responses_item(answer)], "completed")


def _read_chat(body: Document) -> Turn:
    functions = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    tools = tuple(Tool(function["name"], function.get("parameters") or {}) for function in functions)
    return Turn(tools, any(message.get("role") == "tool" for message in body.get("messages") or ()))


def _chat(kind: str, key: str, message: Document, finish: str | None) -> Document:
    head = {"id": "chatcmpl-mock", "object": kind, "created": 0, "model": MODEL}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {**head, "choices": [{"index": 0, key: message, "finish_reason": finish}], "usage": usage}


def _chat_message(answer: Call | str) -> tuple[Document, str]:
    if isinstance(answer, Call):
        function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
        call = {"index": 0, "id": _CALL_ID, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    return {"role": "assistant", "content": answer}, "stop"


def _chat_events(answer: Call | str) -> Iterable[Event]:
    message, finish = _chat_message(answer)
    yield "", _chat("chat.completion.chunk", "delta", message, None)
    yield "", _chat("chat.completion.chunk", "delta", {}, finish)


def _whole_chat(answer: Call | str) -> Document:
    message, finish = _chat_message(answer)
    return _chat("chat.completion", "message", message, finish)


def _read_gemini(body: Document) -> Turn:
    functions = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    tools = tuple(
        Tool(one["name"], one.get("parametersJsonSchema") or one.get("parameters") or {}) for one in functions
    )
    parts = (part for content in body.get("contents") or () for part in content.get("parts") or ())
    return Turn(tools, any("functionResponse" in part for part in parts))


def _whole_gemini(answer: Call | str) -> Document:
    part: Document = {"text": answer}
    if isinstance(answer, Call):
        part = {"functionCall": {"name": answer.tool, "args": answer.arguments}}
    candidate = {"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}


def _gemini_events(answer: Call | str) -> Iterable[Event]:
    yield "", _whole_gemini(answer)


DIALECTS = (
    Dialect("anthropic", re.compile(r"/messages$"), _read_anthropic, _anthropic_events, _whole_anthropic),
    Dialect("responses", re.compile(r"/responses$"), _read_responses, _responses_events, _whole_responses),
    Dialect("chat", re.compile(r"/chat/completions$"), _read_chat, _chat_events, _whole_chat, "data: [DONE]\n\n"),
    Dialect("gemini", re.compile(r":(streamG|g)enerateContent$"), _read_gemini, _gemini_events, _whole_gemini),
)
"""Every API, found by the end of the path."""
