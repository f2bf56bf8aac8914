"""The mock as an ASGI application (asgi.readthedocs.io, HTTP scope)."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from pipeline.verify.mock.dialects import DIALECTS, MODEL, Dialect, Document, Event
from pipeline.verify.mock.turns import Call, Task, answer

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_MODELS: Document = {
    "object": "list",
    "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "mock"}],
    "models": [],
}
_TOKENS: Document = {"input_tokens": 1, "totalTokens": 1}


class Mock:
    """Answers every request; `task` is what it makes the agent write."""

    def __init__(self, task: Task) -> None:
        self.task = task

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; websockets are refused, which makes clients take HTTP."""
        if scope["type"] == "websocket":
            _tell(f"websocket {scope['path']} refused")
            await send({"type": "websocket.close"})
            return
        method, path = scope["method"], scope["path"]
        body = await _body(receive)
        dialect = next((item for item in DIALECTS if item.path.search(path)), None) if method == "POST" else None
        if dialect is None:
            _tell(f"{method} {path}")
            await _send(send, "application/json", json.dumps(_other(path)))
            return
        turn = dialect.read(body)
        said = answer(turn, self.task)
        offered = f"offered {', '.join(tool.name for tool in turn.tools) or 'no tools'}"
        words = f"call {said.tool}" if isinstance(said, Call) else f"{len(said)} letters"
        _tell(f"{method} {path} ({dialect.name}) {'with a tool result' if turn.answered else offered}: {words}")
        if dialect.streams(path, body):
            await _send(send, "text/event-stream", _stream(dialect, dialect.events(said)))
        else:
            await _send(send, "application/json", json.dumps(dialect.whole(said)))


def _stream(dialect: Dialect, events: Iterable[Event]) -> str:
    parts = [(f"event: {name}\n" if name else "") + f"data: {json.dumps(document)}\n\n" for name, document in events]
    return "".join(parts) + dialect.end


def _other(path: str) -> Document:
    """Return the answer to what is no turn: lists of models, counts of tokens, probes, telemetry."""
    if path.endswith("/models"):
        return _MODELS
    return _TOKENS if path.endswith(("/count_tokens", ":countTokens")) else {}


async def _body(receive: Receive) -> Document:
    """Return the request's JSON object; anything else counts as an empty one."""
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _send(send: Send, kind: str, text: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": text.encode()})


def _tell(text: str) -> None:
    sys.stderr.write(f"mock: {text}\n")
    sys.stderr.flush()
