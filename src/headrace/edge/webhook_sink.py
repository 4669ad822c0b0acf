"""A webhook: one POST a row, at least once, with a key by which the other side knows a row again."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final, final
from urllib.parse import SplitResult, urlsplit

import pyarrow as pa

from headrace.core.errors import ConfigError, StateError, SurroundingsError
from headrace.core.position import Position
from headrace.edge.json_rows import json_rows
from headrace.edge.sink import Sink

__all__ = ["Webhook", "WebhookSink", "idempotency_key"]

_ID: Final = "id"
_TAKEN: Final = range(200, 300)
_TRY_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where an action's rows are posted, and how patiently.

    `attempts` tries a row, with waits of `wait_s`, then twice as long each time, up to `wait_s_max`. `timeout_s` is
    how long one try may take. The address comes from the settings alone, never from a record; redirects are not
    followed.

    Raises ConfigError if the address is not http or https, holds a password, or if a number is not positive.
    """

    url: str
    pipeline: str
    action: str
    attempts: int = 6
    timeout_s: float = 10.0
    wait_s: float = 0.5
    wait_s_max: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work before the first row."""
        where = f"sink {self.action!r}"
        if self.address.scheme not in ("http", "https") or not self.address.hostname:
            raise ConfigError(f"{where} url", wanted="http://... or https://...", got=self.url)
        if self.address.username or self.address.password:
            raise ConfigError(f"{where} url", wanted="no user or password in the address", got="one")
        if not (self.attempts >= 1 and self.timeout_s > 0 and self.wait_s > 0 and self.wait_s_max > 0):
            got = f"attempts={self.attempts}, timeout_s={self.timeout_s}, wait_s={self.wait_s}, {self.wait_s_max}"
            raise ConfigError(where, wanted="attempts, timeout_s, wait_s and wait_s_max above 0", got=got)

    @property
    def address(self) -> SplitResult:
        """Return the parts of the address."""
        return urlsplit(self.url)


def idempotency_key(pipeline: str, action: str, request: str) -> str:
    """Return the name of what is asked: the same row has the same key in every run and generation.

    >>> idempotency_key("flights", "holds", "a") == idempotency_key("flights", "holds", "a")
    True
    >>> idempotency_key("flights", "holds", "a") == idempotency_key("flightsh", "olds", "a")
    False
    """
    return blake2b(json.dumps([pipeline, action, request]).encode(), digest_size=16).hexdigest()


@final
class WebhookSink(Sink):
    """Post rows in order, each until it is taken. What was reached stands in a small file, written after success.

    A crash between the two sends rows again, under the same `Idempotency-Key`: hash(pipeline, action, request id).
    `sleep` waits that many seconds.
    """

    def __init__(self, webhook: Webhook, *, memory: Path, sleep: Callable[[float], None]) -> None:
        self._webhook = webhook
        self._memory = memory
        self._sleep = sleep

    def reached(self) -> Position | None:
        """Return what the small file says, or None if there is none.

        Raises StateError if it cannot be read as a position.
        """
        try:
            offset, sub = json.loads(self._memory.read_text())
            return Position(int(offset), int(sub))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SurroundingsError(self._where, wanted=f"to read {self._memory.name}", got=str(error)) from error
        except (ValueError, TypeError) as error:
            wanted = f"a position in {self._memory.name} (remove the file to send everything again)"
            raise StateError(self._where, wanted=wanted, got=str(error)) from error

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        """Post the rows, then note how far it came. `rows` has a column `id`, the request's.

        Raises SurroundingsError if a row is not taken: refused for good, or by every try.
        """
        del after  # At least once: what was sent before a crash is sent again, and known again by its key.
        connection = self._connection()
        try:
            for request, body in zip(rows.column(_ID).to_pylist(), json_rows(rows), strict=True):
                key = idempotency_key(self._webhook.pipeline, self._webhook.action, str(request))
                self._post(connection, body.encode(), key)
        finally:
            connection.close()
        self._remember(through)

    @property
    def _where(self) -> str:
        return f"sink {self._webhook.action!r}"

    def _connection(self) -> HTTPConnection:
        address, timeout_s = self._webhook.address, self._webhook.timeout_s
        host = address.hostname or ""
        if address.scheme == "https":
            return HTTPSConnection(host, address.port, timeout=timeout_s)
        return HTTPConnection(host, address.port, timeout=timeout_s)

    def _post(self, connection: HTTPConnection, body: bytes, key: str) -> None:
        """Try one row until it is taken."""
        address = self._webhook.address
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        got = ""
        for attempt in range(self._webhook.attempts):
            if attempt:
                self._sleep(min(self._webhook.wait_s * 2 ** (attempt - 1), self._webhook.wait_s_max))
            try:
                connection.request("POST", target, body, headers)
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException) as error:
                connection.close()  # The next request opens it anew.
                got = str(error) or type(error).__name__
                continue
            if response.status in _TAKEN:
                return
            got = f"{response.status} {response.reason}"
            if response.status not in _TRY_AGAIN:
                raise SurroundingsError(self._where, wanted=f"{address.hostname} to take a row", got=got)
        tries = f"{self._webhook.attempts} tries"
        raise SurroundingsError(self._where, wanted=f"{address.hostname} to take a row in {tries}", got=got)

    def _remember(self, through: Position) -> None:
        unfinished = self._memory.with_name(f"{self._memory.name}.part")
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("w") as file:
                file.write(json.dumps(list(through)))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._memory)
        except OSError as error:
            raise SurroundingsError(self._where, wanted=f"to write {self._memory.name}", got=str(error)) from error
