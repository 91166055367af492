"""Who is told of a version: once, with a bounded number of tries, and without failing a run or saying a secret."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from leaven.flows import notify
from leaven.generators.errors import InputError
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.recipe_file import load_recipe
from leaven.pipelines.store import Store

from .conftest import RECIPE, report


class Hook(HTTPServer):
    """Answers with these statuses, one by one, then with 200."""

    def __init__(self, *statuses: int):
        self.statuses, self.got = list(statuses), []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.append((self.path, self.headers.get("authorization"), json.loads(body)))
                self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        hook: Any = self
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(notify, "emit", messages.append)
    monkeypatch.setattr(notify, "PAUSE_SECONDS", (0.0, 0.0))
    return messages


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Hook]:
    server = Hook(*getattr(request, "param", ()))
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/path-that-is-secret")
    monkeypatch.setenv("HOOK_TOKEN", "token-that-is-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()


def told(store: Store, version: str = "v1", verdict: str = "released", **asked: Any) -> None:
    asked = {"webhook": "env:HOOK", "token": "env:HOOK_TOKEN"} | asked
    recipe = Recipe.model_validate(RECIPE | {"notify": asked})
    notify.tell(recipe, store, version, verdict, report(verdict, 0.03), "/store/points/versions/v1")


@pytest.mark.parametrize("hook", [(503, 500)], indirect=True)
def test_each_verdict_of_a_version_is_told_once(emitted: list[Any], hook: Hook, tmp_path: Path) -> None:
    store = Store(tmp_path)
    told(store, verdict="pending")
    told(store, verdict="pending")
    told(store)
    told(store)
    told(Store(tmp_path), "v2", "withheld")
    assert [message["event"] for message in emitted] == [
        *("leaven.version.pending", "leaven.version.released", "leaven.version.withheld")
    ]
    assert len(hook.got) == 2 + 3  # two that failed were tried again
    path, token, body = hook.got[-2]
    assert (path, token) == ("/path-that-is-secret", "Bearer token-that-is-secret")
    assert body == emitted[1] and body["lift"]["value"] == 0.03 and body["report"].endswith("v1/report.html")
    assert body["failed_gates"] == []


@pytest.mark.parametrize(
    ("hook", "tries", "said"),
    [((500,) * 9, 3, "answered 500, after 3 tries"), ((404,), 1, "answered 404, after 1 try")],
    indirect=["hook"],
)
def test_a_webhook_that_fails_is_a_warning(
    emitted: list[Any], hook: Hook, tries: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told(Store(tmp_path))
    assert len(hook.got) == tries and len(emitted) == 1
    assert said in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1/secret", "ConnectError"),
        ("gopher://secret", "UnsupportedProtocol"),
        ("", "HOOK, which"),
    ],
)
def test_an_address_that_is_nobodys_is_a_warning(
    emitted: list[Any],
    address: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("HOOK", address)
    told(Store(tmp_path), token=None)
    assert said in caplog.text and "secret" not in caplog.text and len(emitted) == 1


@pytest.mark.parametrize(
    "asked",
    [
        *({"webhook": url} for url in ("https://me:hunter2@x.org/", "https://x.org/?k=hunter2", "hunter2")),
        {"webhook": "env:HOOK", "token": "hunter2"},
    ],
)
def test_a_secret_in_the_recipe_is_refused_and_not_repeated(asked: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(RECIPE | {"notify": asked}))
    with pytest.raises(InputError, match=r"notify\.(webhook|token)") as refused:
        load_recipe(path, [])
    assert "hunter2" not in str(refused.value)
