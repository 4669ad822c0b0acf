import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.errors import ConfigError, StateError, SurroundingsError
from headrace.core.position import START, Position
from headrace.edge.webhook_sink import Webhook, WebhookSink, idempotency_key

DROP = 0


class Door(HTTPServer):
    """A server on loopback that answers as told, 200 when told nothing; DROP hangs up without a word."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[int] = []
        self.seen: list[tuple[str, str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/holds?x=1"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Door

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Idempotency-Key"], body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == DROP:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sink(door: Door, folder: Path, waits: list[float], attempts: int = 4) -> WebhookSink:
    webhook = Webhook(url=door.url, pipeline="flights", action="holds", attempts=attempts, timeout_s=5.0)
    return WebhookSink(webhook, memory=folder / "holds.reached", sleep=waits.append)


ROWS = pa.table({"id": ["a", "b"], "score": [0.9, 0.8]})
END = Position(7, 3)


def test_each_row_is_posted_with_its_key_and_then_the_position_is_kept(door: Door, tmp_path: Path) -> None:
    out = sink(door, tmp_path, [])
    assert out.reached() is None
    out.write(ROWS, START, END)
    assert door.seen == [
        ("/holds?x=1", idempotency_key("flights", "holds", "a"), {"id": "a", "score": 0.9}),
        ("/holds?x=1", idempotency_key("flights", "holds", "b"), {"id": "b", "score": 0.8}),
    ]
    assert sink(door, tmp_path, []).reached() == END


@pytest.mark.parametrize("failure", [500, 503, 429, DROP])
def test_a_failure_is_tried_again_with_longer_waits_under_the_same_key(
    door: Door, tmp_path: Path, failure: int
) -> None:
    door.answers = [failure, failure, failure, 200]
    waits: list[float] = []
    out = sink(door, tmp_path, waits)
    out.write(ROWS, START, END)
    assert waits == [0.5, 1.0, 2.0]
    assert [body["id"] for _, _, body in door.seen] == ["a", "a", "a", "a", "b"]
    assert len({key for _, key, _ in door.seen}) == 2
    assert out.reached() == END


def test_tries_are_bounded_and_the_position_stays(door: Door, tmp_path: Path) -> None:
    door.answers = [200, 500, 500, 500, 500]
    out = sink(door, tmp_path, [])
    with pytest.raises(SurroundingsError, match="to take a row in 4 tries, got 500"):
        out.write(ROWS, START, END)
    assert out.reached() is None
    out.write(ROWS, START, END)
    assert [body["id"] for _, _, body in door.seen] == ["a", "b", "b", "b", "b", "a", "b"]  # At least once.
    assert len({key for _, key, _ in door.seen}) == 2


@pytest.mark.parametrize("status", [400, 401, 301])
def test_a_refusal_for_good_is_not_tried_again(door: Door, tmp_path: Path, status: int) -> None:
    door.answers = [status]
    waits: list[float] = []
    with pytest.raises(SurroundingsError, match=f"got {status}"):
        sink(door, tmp_path, waits).write(ROWS, START, END)
    assert (len(door.seen), waits) == (1, [])


def test_nobody_listening_is_told_after_the_last_try(tmp_path: Path) -> None:
    webhook = Webhook(url="http://127.0.0.1:1/", pipeline="p", action="a", attempts=2)
    waits: list[float] = []
    with pytest.raises(SurroundingsError, match="in 2 tries"):
        WebhookSink(webhook, memory=tmp_path / "reached", sleep=waits.append).write(ROWS, START, END)
    assert waits == [0.5]


def test_waits_grow_up_to_the_longest(door: Door, tmp_path: Path) -> None:
    door.answers = [500] * 10
    waits: list[float] = []
    sink(door, tmp_path, waits, attempts=11).write(ROWS, START, END)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_a_spoilt_memory_is_told_with_its_remedy(door: Door, tmp_path: Path) -> None:
    (tmp_path / "holds.reached").write_text("[1")
    with pytest.raises(StateError, match="remove the file"):
        sink(door, tmp_path, []).reached()


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "holds", "http://user:word@host/"])
def test_an_impossible_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sink 'a' url"):
        Webhook(url=url, pipeline="p", action="a")


def test_impossible_patience_is_refused() -> None:
    with pytest.raises(ConfigError, match="attempts"):
        Webhook(url="http://host/", pipeline="p", action="a", attempts=0)
