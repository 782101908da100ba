"""The demo in a browser: a page on loopback, and a separate demo for each visit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

aiohttp = pytest.importorskip("aiohttp", reason="the extra `web` is not installed")
pytest.importorskip("textual_serve", reason="the extra `web` is not installed")

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "amp-console")
SIZE = 120, 36


class Served:
    """`amp-console demo --web`, and where its page is."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.process = subprocess.Popen(
            [COMMAND, "demo", "--web", "--port", "0", "--fast"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary), "LC_ALL": "C"},
        )
        assert self.process.stdout is not None
        self.words = self.process.stdout.readline()
        self.url = next(word for word in self.words.split() if word.startswith("http")).rstrip(",")

    async def painted(self, *exchange: tuple[str, str]) -> str:
        """Open a session; after each text of the exchange appears, type the keys paired with it."""
        screen = pyte.Screen(*SIZE)
        stream = pyte.ByteStream(screen)
        query = f"width={SIZE[0]}&height={SIZE[1]}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/ws?{query}", origin=self.url) as page,
        ):
            for text, keys in exchange:
                while text not in "\n".join(screen.display):
                    stream.feed(await page.receive_bytes())
                await page.send_json(["stdin", keys])
            picture = "\n".join(screen.display)
            async for _ in page:  # until the demo has ended
                pass
        return picture


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("demo"))
    try:
        yield served
    finally:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 0
        assert served.process.stdout is not None
        served.process.stdout.close()
        assert list(served.temporary.iterdir()) == []


async def test_the_page_is_on_loopback_and_needs_no_other_server(served: Served) -> None:
    assert served.url.startswith("http://127.0.0.1:")
    port = served.url.rpartition(":")[2]
    sockets = Path("/proc/net/tcp").read_text(encoding="ascii") if sys.platform == "linux" else ""
    listening = [line.split()[1] for line in sockets.splitlines()[1:] if line.split()[3] == "0A"]
    addresses = {item for item in listening if int(item.partition(":")[2], 16) == int(port)}
    assert addresses <= {f"0100007F:{int(port):04X}"}
    async with aiohttp.ClientSession() as session, session.get(served.url) as page:
        text = await page.text()
        assert page.status == 200
        assert "default-src" in page.headers["Content-Security-Policy"]
    assert "amp-console demo" in text
    assert "https:" not in text


async def test_a_session_paints_home_and_takes_keys(served: Served) -> None:
    picture = await served.painted(
        ("11,774", "2"), ("All reasons", "\x11"), ("Quit amp-console?", "y")
    )
    assert "Amplitude did not know this User ID" in picture
    assert "·" in picture  # although the terminal's encoding has no such sign


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]
)
async def test_another_site_cannot_reach_it(served: Served, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("", "/ws"):
            async with session.get(served.url + path, headers=headers) as answer:
                assert answer.status == 403


def test_a_port_in_use_is_named(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    ended = subprocess.run(
        [COMMAND, "demo", "--web", "--port", port], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Port {port} can't be used")
    assert ended.stderr.endswith("Choose another with --port.\n")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "textual_serve").mkdir()  # found first, and without a server
    (tmp_path / "textual_serve" / "__init__.py").touch()
    ended = subprocess.run(
        [COMMAND, "demo", "--web"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert ended.returncode == 2
    assert "pip install 'amp-console[web]'" in ended.stderr
