"""The address of the objects in a bucket, such as s3://bucket/prefix?region=eu-west-1."""

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

from amp_console.engage import UnreadableSource

SERVICES = {"s3": "Amazon S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
"""Who keeps the buckets, by URL scheme."""

SETTINGS = ("endpoint", "region", "path_style")
"""What may follow the question mark of an address."""

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_CREDENTIALS = ("key", "secret", "token", "password", "signature")
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,254}")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_REGION = re.compile(r"[a-z0-9-]*")
_OFFERED = (
    "An address must not contain keys or passwords. Nothing was read. Set them in the environment,"
    " for example AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)


class BucketAddress(msgspec.Struct, frozen=True):
    """A folder of a bucket, or one object in it.

    `prefix` has no slash at either end; "" means the whole bucket. `endpoint` and `region` are
    empty if the service's own apply. `account` is the one that an Azure container belongs to.
    """

    scheme: str
    bucket: str
    prefix: str
    endpoint: str = ""
    region: str = ""
    is_path_style: bool = True
    account: str = ""

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str] = os.environ) -> "BucketAddress":
        """Read an address; `environ` may name another vendor's endpoint.

        Raises `UnreadableSource`, whose text never repeats anything that may be a key.
        """
        scheme, _, rest = text.strip().partition("://")
        rest, settings = _settings(rest)
        bucket, _, prefix = rest.partition("/")
        if "@" in bucket:
            raise UnreadableSource(_OFFERED)
        region, endpoint = settings.get("region", ""), settings.get("endpoint", "")
        if scheme == "s3":
            endpoint = endpoint or _first(environ, _ENDPOINTS)
        _check_place(endpoint, region)
        scheme = scheme.partition(":")[0]
        if not _BUCKET.fullmatch(bucket):
            raise UnreadableSource(
                f"{scheme}://{rest} does not name a bucket. Nothing was read."
                f" Write {scheme}://BUCKET/PREFIX."
            )
        return cls(
            scheme,
            bucket,
            prefix.strip("/"),
            endpoint.rstrip("/"),
            region,
            settings.get("path_style", "true").lower() != "false",
            _first(environ, _ACCOUNTS) if scheme == "az" else "",
        )

    @property
    def name(self) -> str:
        """The address as people know it, without settings."""
        return self.name_of(self.prefix).rstrip("/")

    def name_of(self, key: str) -> str:
        """The name of an object of the bucket, for people."""
        return f"{self.scheme}://{self.bucket}/{key}"

    @property
    def root(self) -> str:
        """The prefix of the ledger's keys of all objects of the bucket.

        Buckets of different endpoints or accounts may have the same name.
        """
        if where := self.endpoint or self.account:
            return f"{self.scheme}:{where}/{self.bucket}/"
        return f"{self.scheme}://{self.bucket}/"

    @property
    def service(self) -> str:
        """The bucket's service, as the subject of a sentence."""
        if self.endpoint:
            return f"The server at {urlsplit(self.endpoint).netloc or self.endpoint}"
        return SERVICES[self.scheme]


def is_bucket(text: str) -> bool:
    """Whether a text is the address of a bucket rather than a path."""
    scheme, is_url, _ = text.strip().partition("://")
    return bool(is_url) and scheme in SERVICES


def _settings(rest: str) -> tuple[str, dict[str, str]]:
    """Split off what follows the question mark; a key may contain one, too."""
    path, mark, query = rest.rpartition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True)) if mark else {}
    if any(word in name.lower() for name in settings for word in _CREDENTIALS):
        raise UnreadableSource(_OFFERED)
    return (path, settings) if settings and settings.keys() <= {*SETTINGS} else (rest, {})


def _check_place(endpoint: str, region: str) -> None:
    """Refuse addresses on which obstore itself would crash once it makes a request."""
    place = urlsplit(endpoint)
    if "@" in place.netloc:
        raise UnreadableSource(_OFFERED)
    if endpoint and (place.scheme not in {"http", "https"} or not _HOST.fullmatch(place.netloc)):
        raise UnreadableSource(
            f"The endpoint {endpoint} is not the address of a server. Nothing was read."
            " Write it as https://HOST:PORT."
        )
    if not _REGION.fullmatch(region):
        raise UnreadableSource(
            f"{region} is not a region. Nothing was read. Write it as in eu-west-1."
        )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
