"""Proxies and certificates from the environment, however odd its values are."""

import traceback
from pathlib import Path

import httpx
import pytest
import trustme

from amp_console.http import NetworkSettingInvalid
from amp_console.http.network import NetworkSettings

AMPLITUDE = httpx.URL("https://amplitude.com/api/3/cohorts")
PROXY = "http://ana:example-password@proxy.example:3128"


def proxy(environ: dict[str, str], url: str | httpx.URL = AMPLITUDE) -> str | None:
    found = NetworkSettings(environ).proxy_for(httpx.URL(url))
    return None if found is None else f"{found.variable} {found.scheme} {found}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY}, "HTTPS_PROXY http proxy.example:3128"),
        ({"HTTPS_PROXY": " proxy.example "}, "HTTPS_PROXY http proxy.example"),
        ({"https_proxy": "a.example:1", "HTTPS_PROXY": PROXY}, "https_proxy http a.example:1"),
        ({"ALL_PROXY": "https://[::1]:8443"}, "ALL_PROXY https [::1]:8443"),
        ({"ALL_PROXY": "SOCKS5H://p.example:1080"}, "ALL_PROXY socks5h p.example:1080"),
        ({"all_proxy": "socks://127.0.0.1:1080/"}, "all_proxy socks5 127.0.0.1:1080"),
        (
            {"ALL_PROXY": "socks5://a.example", "HTTPS_PROXY": PROXY},
            "HTTPS_PROXY http proxy.example:3128",
        ),
    ],
)
def test_the_proxy_is_the_one_that_other_programs_use(
    environ: dict[str, str], expected: str | None
) -> None:
    assert proxy(environ) == expected


def test_plain_http_never_goes_through_a_proxy() -> None:
    assert proxy({"ALL_PROXY": PROXY, "HTTP_PROXY": PROXY}, "http://127.0.0.1:8080") is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_exempt"),
    [
        ("*", "https://amplitude.com", True),
        ("amplitude.com", "https://amplitude.com", True),
        ("AMPLITUDE.com", "https://amplitude.com", True),
        ("amplitude.com", "https://analytics.amplitude.com", True),
        (".amplitude.com", "https://analytics.amplitude.com", True),
        ("*.amplitude.com", "https://analytics.amplitude.com", True),
        ("plitude.com", "https://amplitude.com", False),
        ("amplitude.com:443", "https://amplitude.com", True),
        ("amplitude.com:8443", "https://amplitude.com", False),
        ("https://amplitude.com", "https://amplitude.com", True),
        ("localhost,  10.0.0.1", "https://10.0.0.1", True),
        ("10.0.0.0/8", "https://10.1.2.3:8443", True),
        ("10.0.0.1/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.1:8443", "https://10.0.0.1", False),
        ("::1", "https://[::1]", True),
        ("[::1]", "https://[::1]", True),
        ("[::1]:8443", "https://[::1]:8443", True),
        ("[::1]:8443", "https://[::1]", False),
        ("fe80::/10", "https://[fe80::1]", True),
        ("[fe80::]/10", "https://[fe80::1]", True),
        ("fe80::/10", "https://amplitude.com", False),
    ],
)
def test_exceptions_are_hosts_addresses_and_networks(
    no_proxy: str, url: str, is_exempt: bool
) -> None:
    assert (proxy({"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}, url) is None) is is_exempt


@pytest.mark.parametrize(
    "entry",
    ["::1/999", "[", "]", "[::1", "10.0.0.0/99", "a:b:c", "://", ".", "<local>",
     "http://[", "é.example", "*.", "1.2.3.4.5", "\ud83d", "a" * 500, ":", "[]:x", "/8", "%zz"],
)  # fmt: skip
def test_an_exception_that_cannot_be_understood_is_ignored(entry: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, "no_proxy": f"{entry},other.example, ,"}
    for url in ("https://amplitude.com", "https://[fe80::1]", "https://10.0.0.1"):
        assert proxy(environ, url) == "HTTPS_PROXY http proxy.example:3128", url
        assert proxy({**environ, "no_proxy": f"{entry},{httpx.URL(url).host}"}, url) is None, url


@pytest.mark.parametrize(
    "value",
    ["socks4://ana:example-password@p.example", "ftp://p.example", "http://", "://", "http:///x",
     "http://ana:example-password@p.example:99999", "http://ana:example-password@p.example:port",
     "http://ana:example-password@", "http://[::1", "p.example:0", "ana:example-password@\x07",
     "\ud83d://example-password"],
)  # fmt: skip
def test_a_proxy_that_cannot_be_one_is_reported_by_its_variable(value: str) -> None:
    variables = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    for variable in variables:
        settings = NetworkSettings({variable: value})
        with pytest.raises(NetworkSettingInvalid) as caught:
            settings.proxy_for(AMPLITUDE)
        assert caught.value.variable == variable
        assert variable in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value))
        assert "example-password" not in shown
    settings = NetworkSettings(dict.fromkeys(variables, value))
    assert [item.is_valid for item in settings.effective()] == [False]  # loads certificates: 30 ms


class TestCertificates:
    @pytest.fixture
    def ca(self, tmp_path: Path) -> Path:
        path = tmp_path / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(path))
        return path

    def test_a_file_is_read(self, ca: Path) -> None:
        settings = NetworkSettings({"SSL_CERT_FILE": str(ca)})
        assert len(settings.ssl_context().get_ca_certs()) == 1
        assert [(item.variable, item.is_valid) for item in settings.effective()] == [
            ("SSL_CERT_FILE", True)
        ]

    def test_the_file_comes_before_the_folder(self, ca: Path) -> None:
        environ = {"SSL_CERT_FILE": str(ca), "SSL_CERT_DIR": "/nowhere"}
        assert len(NetworkSettings(environ).ssl_context().get_ca_certs()) == 1

    def test_a_folder_with_hashed_names_is_used(self, ca: Path, tmp_path: Path) -> None:
        ca.rename(tmp_path / "0a1b2c3d.0")
        environ = {"SSL_CERT_DIR": f"/nowhere:{tmp_path}"}
        assert NetworkSettings(environ).ssl_context() is not None

    def test_empty_values_are_as_good_as_none(self) -> None:
        settings = NetworkSettings({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""})
        assert settings.ssl_context().get_ca_certs()
        assert settings.effective() == ()

    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
    @pytest.mark.parametrize("kind", ["missing", "other text", "empty", "folder", "odd"])
    def test_what_holds_none_is_reported_by_its_variable(
        self, tmp_path: Path, variable: str, kind: str
    ) -> None:
        path = tmp_path / "certificates"
        if kind in {"other text", "empty"}:
            path.write_text("no certificate" if kind == "other text" else "")
        elif kind == "folder":
            path.mkdir()
        value = "a\x00b" if kind == "odd" else str(path)
        with pytest.raises(NetworkSettingInvalid) as caught:
            NetworkSettings({variable: value}).ssl_context()
        assert caught.value.variable == variable
        assert variable in str(caught.value)

    def test_a_log_of_tls_keys_that_cannot_be_written_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        value = str(tmp_path / "nowhere" / "keys.log")
        monkeypatch.setenv("SSLKEYLOGFILE", value)  # Python reads the real environment
        with pytest.raises(NetworkSettingInvalid) as caught:
            NetworkSettings({"SSLKEYLOGFILE": value}).ssl_context()
        assert caught.value.variable == "SSLKEYLOGFILE"
