"""Opening a bucket with obstore, and with the credentials that the environment offers."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from amp_console.engage import UnreadableSource
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.errors import explain_settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

_OWN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Where obstore finds credentials by itself; the instance role comes last."""

_LEADS_TO_CREDENTIALS = ("aws_access_key_id", "credential_process", "role_arn", "sso_")
"""What an AWS file that leads to credentials contains; many contain a region alone."""


class TransferOptions(msgspec.Struct, frozen=True):
    """Limits of reading from a bucket; times in seconds.

    A failed request is repeated up to `retries` times within `retry_time`, the first time after
    `first_wait`. `ahead` objects are fetched at once, in parts of `part_bytes`, of which `parts`
    wait for the reader. After `failures` objects in a row that could not be fetched, the others are
    not tried.
    """

    retries: int = 4
    retry_time: float = 30.0
    first_wait: float = 0.1
    silence: float = 30.0
    request_time: float = 300.0
    ahead: int = 8
    part_bytes: int = 2 * 1024 * 1024
    parts: int = 2
    failures: int = 3


TRANSFER = TransferOptions()


def open_store(address: BucketAddress, options: TransferOptions = TRANSFER) -> "ObjectStore":
    """Open the bucket; no request is made yet. Raises `UnreadableSource`."""
    try:
        import obstore  # noqa: PLC0415  # an optional extra
        import obstore.store as stores  # noqa: PLC0415
    except ImportError:
        raise UnreadableSource(
            f"{address.name} can't be read: the package obstore is not installed. Nothing was read."
            " Install it with: pip install 'amp-console[s3]'"
        ) from None
    common: Any = {
        "client_options": client_options(address, options),
        "retry_config": {
            "max_retries": options.retries,
            "retry_timeout": timedelta(seconds=options.retry_time),
            "backoff": {"init_backoff": timedelta(seconds=options.first_wait)},
        },
    }
    provider = _provider(address, os.environ) if address.scheme == "s3" else None
    try:
        match address.scheme:
            case "gs":
                return stores.GCSStore(address.bucket, **common)
            case "az":
                return stores.AzureStore(container_name=address.bucket, **common)
        return stores.S3Store(
            address.bucket, credential_provider=provider, **_s3_settings(address), **common
        )
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        reason = explain_settings(error, address)
        raise UnreadableSource(
            f"{address.name} can't be read. {reason} Nothing was read."
        ) from None


def client_options(address: BucketAddress, options: TransferOptions = TRANSFER) -> "ClientConfig":
    """The settings of obstore's HTTP client for a bucket."""
    found: ClientConfig = {
        "allow_http": address.endpoint.startswith("http://"),
        "timeout": timedelta(seconds=options.request_time),
        "read_timeout": timedelta(seconds=options.silence),
    }
    if address.scheme == "gs":
        # Else Google unpacks objects with Content-Encoding gzip, and then sends no parts of them:
        # https://cloud.google.com/storage/docs/transcoding
        found["default_headers"] = {"accept-encoding": "gzip"}
    return found


def _s3_settings(address: BucketAddress) -> dict[str, Any]:
    settings: dict[str, Any] = {"virtual_hosted_style_request": not address.is_path_style}
    if address.endpoint:
        settings["endpoint"] = address.endpoint
    if address.region:
        settings["region"] = address.region
    return settings


def _provider(address: BucketAddress, environ: Mapping[str, str]) -> Any:
    """A provider that asks boto3 for credentials if obstore can't find them; None if it can."""
    if any(environ.get(name) for name in _OWN):
        return None
    where = _profile(environ)
    if where is None:
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415
    except ImportError:
        raise UnreadableSource(
            f"{address.name} can't be read: {where}, and the package boto3, which reads profiles,"
            " is not installed. Nothing was read. Install it with: pip install 'amp-console[aws]'"
        ) from None
    try:
        return Boto3CredentialProvider()
    except Exception as error:  # botocore has no one class for them
        reason = "it holds none" if isinstance(error, ValueError) else str(error).rstrip(".")
        raise UnreadableSource(
            f"{address.name} can't be read: {where}, but gave no credentials: {reason}."
            " Nothing was read. Check the profile, or sign in again (aws sso login)."
        ) from None


def _profile(environ: Mapping[str, str]) -> str | None:
    """Where the user's AWS credentials are; None if there are none."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if environ.get(name):
            return f"{name} is set"
    home = Path(environ.get("HOME") or Path.home()) / ".aws"
    files = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    for name, usual in files.items():
        path = Path(environ.get(name) or home / usual)
        with suppress(OSError):
            text = path.read_text(errors="replace")
            if any(word in text for word in _LEADS_TO_CREDENTIALS):
                return f"the AWS credentials are in {path}"
    return None
