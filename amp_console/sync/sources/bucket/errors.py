"""What a store's errors mean, in sentences without secrets.

The errors of obstore quote whole answers of the server, which may repeat session tokens, so only
the code and the region are taken from them.
"""

import re

from amp_console.sync.sources.bucket.address import SERVICES, BucketAddress

_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]+)</Region>|expecting '([a-z0-9-]+)'")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_ROLES = ("/latest/api/token", "169.254.169.254", "169.254.170.2", "metadata.google.internal")

_NO_CREDENTIALS = {
    "s3": (
        "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set"
        " AWS_PROFILE and install boto3. Set AWS_SKIP_SIGNATURE=true for a public bucket."
    ),
    "gs": (
        "There are no Google credentials. Set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run"
        " gcloud auth application-default login."
    ),
    "az": (
        "There are no Azure credentials. Set AZURE_STORAGE_ACCOUNT_NAME and"
        " AZURE_STORAGE_ACCOUNT_KEY, or sign in with az login and set AZURE_USE_AZURE_CLI=true."
    ),
}
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")
_REFUSED_KEYS = (
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"),
    *("AuthenticationFailed", "InvalidAuthenticationInfo"),
)
_WRONG_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect")
_PROVIDER = "External AWS credential provider"
_REDIRECTED = "Received redirect without LOCATION"
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ServerBusy")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_RIGHTS = {
    "s3": ("s3:ListBucket on the bucket", "s3:GetObject on its objects"),
    "gs": ("storage.objects.list on the bucket", "storage.objects.get on its objects"),
    "az": ("the role Storage Blob Data Reader", "the role Storage Blob Data Reader"),
}


def is_defect(error: BaseException) -> bool:
    """Whether an error is a defect of ours, not one of the store or the network."""
    module = type(error).__module__
    ours = ObjectReplaced | NothingSent | StreamClosed
    return not (module.startswith("obstore") or isinstance(error, OSError | ours))


class ObjectReplaced(Exception):
    """A part of an object is of another version than the parts before it."""


class NothingSent(Exception):
    """A part that was asked for has no bytes, although the object does not end there."""


class StreamClosed(Exception):
    """The session or the import ended before the object was read to its end."""


def explain(error: BaseException, address: BucketAddress, *, is_listing: bool) -> str:
    """Explain what went wrong and what to do, while listing (`is_listing`) or reading."""
    text = str(error)
    code = match[1] if (match := _CODE.search(text)) else ""
    status = match[1] if (match := _STATUS.search(text)) else ""
    return (
        _about_network(text, address)
        or _about_credentials(text, code, address)
        or _about_place(text, code, address)
        or _about_rights(error, status, address, is_listing=is_listing)
        or _about_answer(error, code, status, address)
    )


def explain_settings(error: Exception, address: BucketAddress) -> str:
    """Explain why a bucket can't be opened at all; the error may quote the environment."""
    text = str(error)
    if "Account must be specified" in text:
        return _NO_CREDENTIALS["az"]
    if "service account" in text.lower():
        return "The key file of GOOGLE_APPLICATION_CREDENTIALS can't be read. Check its path."
    return (
        f"The settings for {SERVICES[address.scheme]} in the environment, or the endpoint, are not"
        " valid. Check them."
    )


def _about_network(text: str, address: BucketAddress) -> str:
    if any(sign in text for sign in _ROLES):
        return _NO_CREDENTIALS[address.scheme]
    where = address.endpoint or address.service
    sentences = {
        "dns error": f"The host name of {where} could not be resolved. Check the network and the"
        " address.",
        "InvalidCertificate": f"The certificate of {where} is not valid. Check the endpoint.",
        "InvalidContentType": f"The server at {where} does not speak TLS. Check the endpoint.",
        "kind: Connect": f"There is no connection to {where}. Check the network and the address.",
        "kind: Timeout": f"{address.service} did not answer in time. Try again later.",
        "kind: Interrupted": f"{address.service} broke off the connection. Try again later.",
        "kind: Body": f"{address.service} broke off the connection. Try again later.",
    }
    return next((sentence for sign, sentence in sentences.items() if sign in text), "")


def _about_credentials(text: str, code: str, address: BucketAddress) -> str:
    if code in _EXPIRED or _PROVIDER in text:
        return "The credentials have expired. Sign in again (for AWS SSO: aws sso login)."
    if code in _REFUSED_KEYS:
        return f"{address.service} refused the credentials ({code}). Check the keys."
    if code == "RequestTimeTooSkewed":
        return (
            f"{address.service} refused the request because this machine's clock is wrong. Set the"
            " clock."
        )
    return ""


def _about_place(text: str, code: str, address: BucketAddress) -> str:
    if code in _NO_BUCKET:
        return f"The bucket {address.bucket} does not exist. Check its name and the account."
    if code in _WRONG_REGION or _REDIRECTED in text:
        found = _REGION.search(text)
        region = (found[1] or found[2]) if found else "REGION"
        return (
            f"The bucket {address.bucket} is in another region."
            f" Add ?region={region} to the address, or set AWS_REGION."
        )
    return ""


def _about_rights(
    error: BaseException, status: str, address: BucketAddress, *, is_listing: bool
) -> str:
    if status not in {"401", "403"} and type(error).__name__ != "PermissionDeniedError":
        return ""
    right = _RIGHTS[address.scheme][0 if is_listing else 1]
    what = "list the objects" if is_listing else "read the object"
    return f"{address.service} does not allow these credentials to {what}. Grant {right}."


def _about_answer(error: BaseException, code: str, status: str, address: BucketAddress) -> str:
    if isinstance(error, FileNotFoundError):
        return "It does not exist anymore."
    if isinstance(error, ObjectReplaced):
        return "It was replaced while it was being read."
    if isinstance(error, NothingSent):
        return f"{address.service} sent an empty answer. Try again later."
    kind = type(error).__name__
    if kind == "InvalidPathError":
        return (
            "It contains an object whose name has an empty part, a part . or .., or a control"
            " character, and such names can't be listed. Name a folder without it, or rename it."
        )
    if code in _BUSY or status.startswith("5"):
        return f"{address.service} is busy or failing ({code or status}). Try again later."
    what = " ".join(filter(None, (status, code))) or kind
    return f"{address.service} gave an unexpected answer ({what}). Try again later."
