"""Every reason for a failed connection: what happened, that nothing was sent, what to do next."""

import asyncio
import errno
import logging
import socket
import ssl
import traceback
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme

from amp_console.amplitude import AmplitudeError, NoConnection, Unreachable
from amp_console.amplitude.client import AmplitudeClient
from amp_console.http import ConnectionFailed
from amp_console.http.attempt import Attempt
from amp_console.values import Credentials
from tests.amplitude.proxies import SocksProxy, TestProxy
from tests.amplitude.scripted import ScriptedServer, json_reply

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PASSWORD = "example-p@ss"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """An environment that trusts the test's certificate authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}


@asynccontextmanager
async def tls_server(certificate: trustme.LeafCert) -> AsyncGenerator[ScriptedServer, None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    async with ScriptedServer().running(context) as server:
        server.will(json_reply(200, {"cohorts": []}))
        yield server


async def listing(url: str, credentials: Credentials, environ: Mapping[str, str]) -> None:
    async with AmplitudeClient(url, credentials, environ=environ, timeout=5) as client:
        assert await client.list_cohorts() == ()


async def failing(url: str, credentials: Credentials, environ: Mapping[str, str]) -> NoConnection:
    with pytest.raises(NoConnection) as caught:
        await listing(url, credentials, environ)
    assert "Nothing was sent. " in str(caught.value)
    assert not caught.value.may_be_applied
    assert caught.value.__suppress_context__
    return caught.value


async def test_a_certificate_of_a_trusted_authority_is_accepted(
    authority: trustme.CA, trusted: dict[str, str], credentials: Credentials
) -> None:
    async with tls_server(authority.issue_cert("127.0.0.1")) as server:
        await listing(server.url, credentials, trusted)


@pytest.mark.parametrize(
    ("host", "since", "until", "is_trusted", "reason"),
    [
        ("127.0.0.1", NOW - DAY, NOW + DAY, False, Unreachable.UNKNOWN_AUTHORITY),
        ("192.0.2.1", NOW - DAY, NOW + DAY, True, Unreachable.WRONG_HOST),
        ("other.example", NOW - DAY, NOW + DAY, True, Unreachable.WRONG_HOST),
        ("127.0.0.1", NOW - 2 * DAY, NOW - DAY, True, Unreachable.EXPIRED),
        ("127.0.0.1", NOW + DAY, NOW + 2 * DAY, True, Unreachable.NOT_YET_VALID),
    ],
)
async def test_each_fault_of_a_certificate_is_reported(
    authority: trustme.CA,
    trusted: dict[str, str],
    credentials: Credentials,
    host: str,
    since: datetime,
    until: datetime,
    is_trusted: bool,
    reason: Unreachable,
) -> None:
    certificate = authority.issue_cert(host, not_before=since, not_after=until)
    async with tls_server(certificate) as server:
        error = await failing(server.url, credentials, trusted if is_trusted else {})
    assert error.reason is reason
    assert server.url.removeprefix("https://") in str(error)
    assert not server.seen


async def test_a_wrong_host_name_is_reported_as_a_wrong_address_is(
    authority: trustme.CA, trusted: dict[str, str], credentials: Credentials
) -> None:
    async with tls_server(authority.issue_cert("other.example")) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert (await failing(url, credentials, trusted)).reason is Unreachable.WRONG_HOST


@pytest.mark.parametrize(
    ("says", "reason"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", Unreachable.NOT_TLS), (b"", Unreachable.TLS_FAILED)],
)
async def test_a_port_without_tls_is_reported(
    credentials: Credentials, says: bytes, reason: Unreachable
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(says)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failing(f"https://127.0.0.1:{port}", credentials, {})
    assert error.reason is reason


async def test_a_server_that_is_silent_from_the_beginning_was_sent_nothing(
    credentials: Credentials,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with AmplitudeClient(url, credentials, timeout=0.2, environ={}) as client:
            with pytest.raises(NoConnection) as caught:
                await client.start_download("abcd1234")
    assert caught.value.reason is Unreachable.NO_ANSWER
    assert not caught.value.may_be_applied


async def test_a_name_that_is_none_is_reported(credentials: Credentials) -> None:
    error = await failing(f"https://{'a' * 64}.example", credentials, {})
    assert error.reason is Unreachable.NAME_UNKNOWN


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Unreachable.NAME_UNKNOWN),
        (ConnectionRefusedError(), Unreachable.REFUSED),
        (OSError(errno.ENETUNREACH, "unreachable"), Unreachable.NO_ROUTE),
        (OSError(errno.EHOSTUNREACH, "unreachable"), Unreachable.NO_ROUTE),
        (ssl.SSLError(1, "[SSL] odd"), Unreachable.TLS_FAILED),
        (OSError(errno.EMFILE, "too many open files"), Unreachable.OTHER),
    ],
)
def test_the_cause_behind_the_library_s_error_tells_the_reason(
    cause: OSError, reason: Unreachable
) -> None:
    attempt = Attempt(httpx.URL("https://amplitude.com"), None)
    several = OSError("all connection attempts failed")
    several.__cause__ = ExceptionGroup("several addresses", [cause])
    with pytest.raises(ConnectionFailed) as caught, attempt.own_errors():
        raise httpx.ConnectError("failed") from several
    assert caught.value.reason is reason
    assert caught.value.where == "amplitude.com"


def test_every_reason_has_a_sentence_of_its_own() -> None:
    sentences = {str(NoConnection(reason, "amplitude.com")) for reason in Unreachable}
    assert len(sentences) == len(Unreachable)
    assert all("amplitude.com" in sentence for sentence in sentences)


@pytest.mark.parametrize("kind", [TestProxy, SocksProxy])
@pytest.mark.parametrize("login", [None, ("ana", PASSWORD)])
async def test_a_proxy_is_gone_through(
    authority: trustme.CA,
    trusted: dict[str, str],
    credentials: Credentials,
    kind: type[TestProxy],
    login: tuple[str, str] | None,
) -> None:
    async with (
        tls_server(authority.issue_cert("127.0.0.1")) as server,
        kind(login=login).running() as proxy,
    ):
        name = "ana:example-p%40ss@" if login else ""
        environ = {**trusted, "ALL_PROXY": f"{proxy.scheme}://{name}{proxy.address}"}
        await listing(server.url, credentials, environ)
        assert proxy.tunnels == 1
        server.will(json_reply(200, {"cohorts": []}))
        await listing(server.url, credentials, {**environ, "NO_PROXY": "127.0.0.0/8"})
        assert proxy.tunnels == 1


@pytest.mark.parametrize(
    ("proxy", "reason", "status"),
    [
        (TestProxy(login=("ana", "another")), Unreachable.PROXY_PASSWORD, 407),
        (TestProxy(answer=b"HTTP/1.1 403 Forbidden\r\n\r\n"), Unreachable.PROXY_REFUSED, 403),
        (TestProxy(answer=b"HTTP/1.1 502 Bad\r\n\r\n"), Unreachable.PROXY_REFUSED, 502),
        (TestProxy(answer=b"SSH-2.0-OpenSSH_9.2\r\n"), Unreachable.PROXY_ODD, None),
        (SocksProxy(login=("ana", "another")), Unreachable.PROXY_PASSWORD, None),
        (SocksProxy(login=("ana", PASSWORD), answer=b"\x02"), Unreachable.PROXY_REFUSED, None),
    ],
)
async def test_what_a_proxy_refuses_is_reported_without_its_password(
    credentials: Credentials,
    caplog: pytest.LogCaptureFixture,
    proxy: TestProxy,
    reason: Unreachable,
    status: int | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with proxy.running():
        variable = f"{proxy.scheme}://ana:example-p%40ss@{proxy.address}"
        error = await failing("https://amplitude.com", credentials, {"HTTPS_PROXY": variable})
    assert error.reason is reason
    assert error.status == status
    assert f"The proxy {proxy.address} (HTTPS_PROXY)" in str(error)
    assert not shows_password(error, caplog)


async def test_a_proxy_that_wants_a_password_and_has_none_says_so(credentials: Credentials) -> None:
    async with SocksProxy(login=("ana", PASSWORD)).running() as proxy:
        environ = {"ALL_PROXY": f"socks5h://{proxy.address}"}
        error = await failing("https://amplitude.com", credentials, environ)
    assert error.reason is Unreachable.PROXY_PASSWORD


async def test_a_proxy_of_another_kind_is_reported(credentials: Credentials) -> None:
    async with TestProxy(answer=b"HTTP/1.1 400 Bad\r\n\r\n").running() as proxy:
        environ = {"ALL_PROXY": f"socks5://{proxy.address}"}
        async with AmplitudeClient(
            "https://amplitude.com", credentials, environ=environ, timeout=0.2
        ) as client:
            with pytest.raises(NoConnection, match="The proxy"):
                await client.list_cohorts()


async def test_a_proxy_that_is_not_there_is_reported(
    credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        environ = {"https_proxy": f"ana:example-p%40ss@127.0.0.1:{port}"}
        error = await failing("https://amplitude.com", credentials, environ)
    assert error.reason is Unreachable.REFUSED
    assert str(error).startswith(f"The proxy 127.0.0.1:{port} (https_proxy) refused the connection")
    assert not shows_password(error, caplog)


async def test_the_fault_of_a_certificate_behind_a_proxy_is_the_server_s(
    authority: trustme.CA, credentials: Credentials
) -> None:
    async with (
        tls_server(authority.issue_cert("127.0.0.1")) as server,
        TestProxy().running() as proxy,
    ):
        error = await failing(server.url, credentials, {"HTTPS_PROXY": f"http://{proxy.address}"})
    assert error.reason is Unreachable.UNKNOWN_AUTHORITY
    assert error.where == server.url.removeprefix("https://")


def shows_password(error: AmplitudeError, caplog: pytest.LogCaptureFixture) -> bool:
    shown = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    shown += [record.getMessage() for record in caplog.records]
    return any(secret in text for text in shown for secret in (PASSWORD, "example-p%40ss"))
