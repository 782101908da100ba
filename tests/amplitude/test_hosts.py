import pytest

from amp_console.amplitude.hosts import region_url
from amp_console.http.addresses import checked_base_url
from amp_console.values import Region


@pytest.mark.parametrize(
    ("region", "url"),
    [
        (Region.NORTH_AMERICA, "https://amplitude.com"),
        (Region.EUROPE, "https://analytics.eu.amplitude.com"),
    ],
)
def test_each_region_has_its_host(region: Region, url: str) -> None:
    assert region_url(region) == url
    assert checked_base_url(url) == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com", "https://example.com"),
        ("  https://example.com/  ", "https://example.com"),
        ("HTTPS://Example.COM", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://example.com/amplitude/", "https://example.com/amplitude"),
        ("https://example.com/a/b", "https://example.com/a/b"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST", "http://localhost"),
    ],
)
def test_a_private_address_is_taken_in_its_plain_form(text: str, url: str) -> None:
    assert checked_base_url(text) == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "start with https"),
        ("example.com", "start with https"),
        ("https://", "start with https"),
        ("https:///path", "start with https"),
        ("ftp://example.com", "start with https"),
        ("file:///etc/passwd", "start with https"),
        ("http://example.com", "plain http is for this machine only"),
        ("http://10.0.0.1", "plain http is for this machine only"),
        ("http://128.0.0.1", "plain http is for this machine only"),
        ("http://localhost.example.com", "plain http is for this machine only"),
        ("http://127.0.0.1.example.com", "plain http is for this machine only"),
        ("http://0.0.0.0", "plain http is for this machine only"),
        ("http://[::2]", "plain http is for this machine only"),
        ("https://someone@example.com", "user name"),
        ("https://someone:word@example.com", "user name"),
        ("https://@example.com", "user name"),
        ("http://127.0.0.1@example.com", "user name"),
        ("https://example.com?", "query"),
        ("https://example.com/?key=word", "query"),
        ("https://example.com#", "fragment"),
        ("https://example.com/#part", "fragment"),
        ("https://exa mple.com", "spaces"),
        ("https://example.com\\path", "backslashes"),
        ("https://example.com/\nHost: else", "line breaks"),
        ("https://example.com:port", "not a valid address"),
        ("https://example.com:0", "port"),
        ("https://example.com:65536", "port"),
        ("https://[::1", "not a valid address"),
    ],
)
def test_any_other_address_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        checked_base_url(text)
    assert str(refused.value).endswith(".")
    assert "word" not in str(refused.value).replace("password", "")
