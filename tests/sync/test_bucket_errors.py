"""A bucket's refusals are reported in a sentence, with advice, and without secrets."""

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amp_console.engage import UnreadableSource
from amp_console.sync.ingest.report import unreadable_sentences
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.client import BucketClient
from amp_console.sync.sources.bucket.listing import list_objects
from amp_console.sync.sources.bucket.store import open_store
from tests.sync.bucket_server import BUCKET, KEY_ID, SECRET, BucketServer, Fault, bucket_server
from tests.sync.test_bucket_import import read
from tests.sync.workspace import Workspace, lines

if TYPE_CHECKING:
    from obstore.store import S3Credential


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        server.put("a.json", lines("a"))
        yield server


def refused(status: int, code: str, more: str = "") -> Fault:
    return lambda request: request.refuse(status, code, more)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refused(403, "AccessDenied"), "to list the objects. Grant s3:ListBucket on the bucket."),
        (
            lambda request: not request.is_listing and request.refuse(403, "AccessDenied"),
            "to read the object. Grant s3:GetObject on its objects.",
        ),
        (refused(404, "NoSuchBucket"), "The bucket events does not exist."),
        (
            refused(301, "PermanentRedirect"),
            "The bucket events is in another region. Add ?region=REGION to the address",
        ),
        (
            refused(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"),
            "Add ?region=eu-central-1 to the address",
        ),
        (refused(400, "ExpiredToken"), "The credentials have expired. Sign in again"),
        (refused(403, "InvalidAccessKeyId"), "refused the credentials (InvalidAccessKeyId)"),
        (refused(403, "SignatureDoesNotMatch"), "refused the credentials (SignatureDoesNotMatch)"),
        (refused(403, "RequestTimeTooSkewed"), "this machine's clock is wrong. Set the clock."),
        (refused(503, "SlowDown"), "is busy or failing (SlowDown). Try again later."),
        (refused(418, "Teapot"), "gave an unexpected answer (418 Teapot)"),
    ],
)
def test_a_refusal_says_what_to_do_and_holds_no_secret(
    workspace: Workspace, bucket: BucketServer, fault: Fault, words: str
) -> None:
    bucket.fault = fault
    report = read(workspace, bucket)
    assert report.tally.read == 0
    (sentence,) = report.unreadable
    assert words in sentence
    assert sentence.startswith(f"s3://{BUCKET}")
    assert KEY_ID not in sentence
    assert SECRET not in sentence
    bucket.fault = lambda _: False
    assert read(workspace, bucket).tally.read == 1


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bkt/x?endpoint=http://127.0.0.1:9", "There is no connection to http://127.0.0.1:9."),
        ("s3://bkt/x?endpoint=http://no-host.invalid", "could not be resolved. Check the network"),
        ("s3://bkt/x?endpoint=https://127.0.0.1:{port}", "does not speak TLS. Check the endpoint."),
        ("s3:///x", "does not name a bucket. Nothing was read. Write s3://BUCKET/PREFIX."),
        (f"s3://{KEY_ID}:{SECRET}@bkt/x", "An address must not contain keys or passwords."),
        (
            f"s3://bkt/x?secret_access_key={SECRET}",
            "An address must not contain keys or passwords.",
        ),
        (f"s3://bkt/x?endpoint=http://u:{SECRET}@h", "An address must not contain keys"),
        ("az://container/x", "There are no Azure credentials. Set AZURE_STORAGE_ACCOUNT_NAME"),
        ("s3://bkt/x?endpoint=nonsense", "The endpoint nonsense is not the address of a server."),
        (
            "s3://bkt/x?endpoint=http://a b",
            "The endpoint http://a b is not the address of a server.",
        ),
        ("s3://bkt/x?region=eu west", "eu west is not a region. Nothing was read."),
        ("s3://b d/x", "s3://b d/x does not name a bucket. Nothing was read."),
        ("s3:bkt/x", "does not name a bucket. Nothing was read. Write s3://BUCKET/PREFIX."),
        ("s3://{bucket}/nothing?endpoint={endpoint}", "contains no objects. Nothing was read."),
    ],
)
def test_an_address_that_leads_nowhere_is_reported(
    workspace: Workspace, bucket: BucketServer, address: str, words: str
) -> None:
    port = bucket.endpoint.rpartition(":")[2]
    address = address.format(port=port, bucket=BUCKET, endpoint=bucket.endpoint)
    report = read(workspace, bucket, address=address)
    (sentence,) = report.unreadable
    assert words in sentence
    assert SECRET not in sentence


def test_a_key_that_cannot_be_listed_is_reported(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("a"))
    bucket.fault = lambda request: request.list_as("in/1.json", "in//2.json")
    (sentence,) = read(workspace, bucket, "in").unreadable
    assert "It contains an object whose name has an empty part" in sentence


def test_credentials_that_cannot_be_renewed_are_reported(bucket: BucketServer) -> None:
    from obstore.store import S3Store

    def expired() -> "S3Credential":
        raise RuntimeError(f"Token has expired and refresh failed {SECRET}")

    address = BucketAddress.parse(bucket.address())
    store = S3Store(BUCKET, endpoint=bucket.endpoint, credential_provider=expired)
    with pytest.raises(UnreadableSource) as failed:
        list(list_objects(BucketClient(store), address, {}))
    assert "The credentials have expired. Sign in again (for AWS SSO: aws sso login)." in str(
        failed.value
    )
    assert SECRET not in str(failed.value)


def test_a_key_file_of_google_that_is_missing_is_reported(
    workspace: Workspace, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/where.json")
    (sentence,) = read(workspace, bucket, address="gs://bucket/x").unreadable
    assert "The key file of GOOGLE_APPLICATION_CREDENTIALS can't be read." in sentence


def test_of_thousands_of_objects_that_hold_no_events_some_are_named(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for n in range(30):
        bucket.put(f"{n:02}", "no,events\n1,2\n")
    report = read(workspace, bucket)
    assert len(report.unreadable) == 30
    sentences = list(unreadable_sentences(report))
    assert (len(sentences), sentences[-1]) == (21, "10 more sources could not be read.")


def test_three_objects_in_a_row_that_cannot_be_fetched_end_the_import(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for n in range(40):
        bucket.put(f"{n:02}", lines(f"u{n}"))
    bucket.fault = lambda request: request.key > "04" and request.refuse(403, "AccessDenied")
    report = read(workspace, bucket)
    assert len(report.unreadable) == 4
    assert "3 objects in a row could not be fetched" in report.unreadable[-1]
    assert report.tally.read == 5


def test_a_traceback_of_a_refusal_holds_no_secret(bucket: BucketServer) -> None:
    bucket.fault = refused(400, "ExpiredToken")
    address = BucketAddress.parse(bucket.address())
    with pytest.raises(UnreadableSource) as failed:
        list(list_objects(BucketClient(open_store(address)), address, {}))
    shown = "".join(traceback.format_exception(failed.value))
    assert SECRET not in shown + repr(open_store(address))


def test_without_credentials_the_sentence_says_how_to_give_them(
    workspace: Workspace, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    (sentence,) = read(workspace, bucket).unreadable
    assert "There are no AWS credentials. Set AWS_ACCESS_KEY_ID" in sentence


@pytest.mark.parametrize("module", ["obstore.store", "obstore"])
def test_a_missing_extra_is_reported_with_the_command_that_installs_it(
    workspace: Workspace, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (sentence,) = read(workspace, bucket).unreadable
    assert sentence.endswith("Install it with: pip install 'amp-console[s3]'")


def test_a_profile_without_boto3_is_reported_with_the_command_that_installs_it(
    workspace: Workspace, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "analytics")
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    (sentence,) = read(workspace, bucket).unreadable
    assert "AWS_PROFILE is set, and the package boto3" in sentence
    assert sentence.endswith("Install it with: pip install 'amp-console[aws]'")
    assert bucket.requests == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("credentials", f"[default]\naws_access_key_id = {KEY_ID}\n", "and the package boto3"),
        ("config", "[default]\nsso_session = acme\n", "and the package boto3"),
        ("config", "[default]\nregion = eu-west-1\n", "There are no AWS credentials."),
    ],
)
def test_files_of_aws_count_where_they_lead_to_credentials(
    workspace: Workspace,
    bucket: BucketServer,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    text: str,
    words: str,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    path = Path(os.environ["HOME"]) / ".aws" / file
    path.parent.mkdir()
    path.write_text(text)
    (sentence,) = read(workspace, bucket).unreadable
    assert words in sentence
    assert KEY_ID not in sentence


def test_a_profile_is_read_by_boto3(
    workspace: Workspace, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("boto3")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "analytics")
    credentials = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    (sentence,) = read(workspace, bucket).unreadable
    assert "AWS_PROFILE is set, but gave no credentials" in sentence
    credentials.write_text(
        f"[analytics]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    )
    assert read(workspace, bucket).tally.read == 1
