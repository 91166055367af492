"""A server that speaks the protocol of chat completions, and fails in the ways that servers fail."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from leaven.generators.contract import Budget

KEY = "sk-secret-of-the-test"


class Clock(Budget):
    """A clock that runs out once the first batch was asked about; its `progress` is that of the fit."""

    def __init__(self) -> None:
        super().__init__(seconds=1000.0)
        self.told = 0

    def progress(self, share: float, text: str) -> None:
        """Hear of what is known from before, and then of the first batch."""
        self.told += 1
        self.before = 2000.0 if self.told == 2 else 0.0


class Fake:
    """What the server does, and what it was asked.

    Attributes:
        mode: of each request in turn, the last one for ever: ok, busy (429), broken (500), malformed, prose, unknown
            (404), forbidden (403), slow, body.
        too_long: a question with this in it is refused (400), whatever the mode.
        body: the whole of an answer, where the mode is that.
        usage: tokens that an answer tells, None where it does not.
    """

    too_long = "\0"
    body = b""

    def __init__(self, *modes: str):
        self.modes, self.requests, self.lock = list(modes) or ["ok"], [], threading.Lock()
        self.usage: Any = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        self.at_once = self.most_at_once = 0

    def mode(self) -> str:
        return self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]


@contextlib.contextmanager
def serving(fake: Fake) -> Iterator[str]:
    """The base URL of the server while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None: ...

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                mode = fake.mode()
                fake.requests.append(asked)
                fake.at_once += 1
                fake.most_at_once = max(fake.most_at_once, fake.at_once)
            try:
                self.act(mode, asked)
            finally:
                with fake.lock:
                    fake.at_once -= 1

        def act(self, mode: str, asked: dict[str, Any]) -> None:
            if self.headers["Authorization"] != f"Bearer {KEY}":
                said = {"error": {"message": f"Incorrect API key: {self.headers['Authorization']}"}}
                return self.answer(401, json.dumps(said).encode())
            if mode == "busy":
                return self.answer(429, b'{"error": {"message": "slow down"}}', Retry_After="0")
            if mode == "broken":
                return self.answer(500, b"oops")
            if mode == "unknown":
                return self.answer(404, b'{"error": {"message": "no such model"}}')
            if mode == "forbidden":
                return self.answer(403, b'{"error": {"message": "not for you"}}')
            if fake.too_long in asked["messages"][0]["content"]:
                return self.answer(400, b'{"error": {"message": "context_length_exceeded"}}')
            if mode == "body":
                return self.answer(200, fake.body)
            if mode == "malformed":
                return self.answer(200, b'{"choices": []}')
            if mode == "slow":
                time.sleep(2)
            time.sleep(0.02)
            prompt = asked["messages"][0]["content"]
            text = prompt.rpartition("Text: ")[2]
            texts = [f"put otherwise, {text}", f"in other words: {text}"]
            if found := re.search(r'from the language "(..)" into the language "(..)"', prompt):
                texts = [f"{text} {found[2]}{n}" for n in range(2)]
            if found := re.search(r'new texts .* class "(.*?)"', prompt):
                texts = [f"a new text of {found[1]}, number {asked['seed']} and {n}" for n in range(5)]
            content = (
                "I would rather not." if mode == "prose" else f"Sure:\n```json\n{json.dumps(texts)}\n```"
            )
            said: dict[str, Any] = {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": asked["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": content},
                    }
                ],
            }
            if fake.usage is not None:
                said["usage"] = fake.usage
            self.answer(200, json.dumps(said).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
