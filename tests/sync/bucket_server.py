"""An S3 server on loopback whose buckets are folders, with faults on request."""

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

if not os.environ.get("CI"):
    for extra in ("localbucket", "obstore"):
        pytest.importorskip(extra, reason=f"{extra} is not installed: pip install -e '.[dev]'")

import localbucket

from amp_console.sync.sources.bucket.store import TransferOptions

BUCKET = "events"
KEY_ID = "AKIAFALSECANARY"
SECRET = "false-secret-canary"
QUICK = TransferOptions(retries=2, first_wait=0.001, part_bytes=64 * 1024)
"""Uses short timeouts, and fetches small objects in several parts."""

Fault = Callable[["Request"], bool]
"""Answers a request and returns True, or leaves it to the server."""


class Request:
    """A GET request: its target, and ways to answer it badly."""

    def __init__(self, handler: Any) -> None:
        url = urlsplit(handler.path)
        _, self.bucket, *rest = unquote(url.path).split("/", 2)
        self.key = rest[0] if rest else ""
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.range = handler.headers.get("Range") or ""
        self._handler = handler

    @property
    def is_listing(self) -> bool:
        return "list-type" in self.query

    def refuse(self, status: int, code: str, more: str = "") -> bool:
        """Answer with an error, in which S3 repeats what it was asked."""
        body = (
            f"<Error><Code>{code}</Code><Message>no</Message>{more}"
            f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId><Token-0>{SECRET}</Token-0></Error>"
        ).encode()
        self._answer(status, body)
        return True

    def never_answer(self) -> bool:
        """Keep the connection open silently until the server is closed."""
        self._handler.server.closing.wait()
        return True

    def list_as(self, *keys: str) -> bool:
        """List these keys, such as a folder can't hold."""
        shown = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-05-03T19:42:50.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>2</Size></Contents>'
            for key in keys
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{shown}</ListBucketResult>"
        self._answer(200, body.encode())
        return True

    def send_nothing(self, data: bytes) -> bool:
        """Answer as if the requested object were empty."""
        return self._send_part(data, 0, announced=0)

    def break_off(self, data: bytes, after: int) -> bool:
        """Send some bytes of the requested object, and close the connection."""
        return self._send_part(data, after)

    def _send_part(self, data: bytes, sent: int, announced: int | None = None) -> bool:
        begin = int(self.range.removeprefix("bytes=").partition("-")[0] or 0)
        end = int(self.range.partition("-")[2] or len(data) - 1) + 1
        part = data[begin:end]
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        headers = {
            "ETag": f'"{tag}"',
            "Content-Range": f"bytes {begin}-{begin + len(part) - 1}/{len(data)}",
        }
        self._answer(206, part[:announced], headers, sent)
        return True

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        handler = self._handler
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Last-Modified", "Sun, 03 May 2026 19:42:50 GMT")
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:sent])
        handler.close_connection = True


class _ClosingServer(ThreadingHTTPServer):
    """Notifies its request threads when it is closing."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.closing = threading.Event()

    def handle_error(self, *about: Any) -> None:
        """Print errors, but not that a client has disconnected, which many tests do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*about)


class BucketServer:
    """Serves the folder of a bucket; `fault` sees every GET first.

    A page of a listing has `page` keys; those of S3 have 1,000.
    """

    def __init__(self, folder: Path, bucket: str = BUCKET) -> None:
        self.folder = folder / bucket
        self.folder.mkdir(parents=True)
        self.requests: list[Request] = []
        self.fault: Fault = lambda _: False
        self.page = 1_000
        server = self

        class Handler(localbucket.S3Handler):  # type: ignore[misc]  # it has no types
            data_root = folder

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:  # noqa: N802
                request = Request(self)
                server.requests.append(request)
                if not server.fault(request):
                    super().do_GET()

            def _max_keys(self) -> int:
                return min(server.page, int(super()._max_keys()))

        self._http = _ClosingServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._http.server_port}"

    @property
    def listings(self) -> list[Request]:
        """The requests so far that listed objects."""
        return [request for request in self.requests if request.is_listing]

    @property
    def fetched(self) -> list[str]:
        """The keys of the objects that were fetched, once for each part."""
        return [request.key for request in self.requests if not request.is_listing]

    def remove(self, key: str) -> None:
        """Remove an object."""
        (self.folder / key).unlink()

    def put(self, key: str, body: bytes | str) -> None:
        """Write an object."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{localbucket.TEMP_PREFIX}new")
        new.write_bytes(body.encode() if isinstance(body, str) else body)
        new.replace(path)

    def address(self, prefix: str = "") -> str:
        """An address of the bucket, with the server that it is on."""
        return f"s3://{self.folder.name}/{prefix}?endpoint={self.endpoint}"

    @contextmanager
    def running(self) -> Iterator["BucketServer"]:
        """Serve until the context ends."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()


@contextmanager
def bucket_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    """Serve an empty bucket, with keys for it in the environment."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with BucketServer(folder).running() as server:
        yield server
