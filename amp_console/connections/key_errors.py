"""What can go wrong with keys, in words an operator can act on."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager

KEY_VARIABLES = ("AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY")
WEBHOOK_VARIABLE = "AMP_CONSOLE_WEBHOOK_SECRET"

SET_BOTH = f"set {KEY_VARIABLES[0]} and {KEY_VARIABLES[1]}"
KEYS_NOT_KEPT = (
    "This machine has no keyring, so nothing was saved. The keys work for this session only. To "
    f"keep them: sign in to a desktop session, or {SET_BOTH}."
)
SECRET_NOT_KEPT = (
    "This machine has no keyring, so the shared secret was not saved. Sign in to a desktop "
    f"session and try again, or set {WEBHOOK_VARIABLE}."
)


class KeysProblem(enum.Enum):
    """Why keys could not be read, stored or removed."""

    MISSING = "missing"
    LOCKED = "locked"
    WAITING = "waiting"
    REFUSED = "refused"
    TOO_LONG = "too long"
    DAMAGED = "damaged"
    NO_KEYRING = "no keyring"
    FAILED = "failed"


_WORDS = {
    KeysProblem.MISSING: "No keys are stored for this connection. Store them with: "
    f"amp-console connect NAME …, or {SET_BOTH}.",
    KeysProblem.LOCKED: "Your keyring is locked. Unlock it and try again.",
    KeysProblem.WAITING: "Your keyring did not answer in time, so nothing was changed. It may be "
    "asking for your password in another window: answer there, and try again.",
    KeysProblem.REFUSED: "Your keyring denied access{cause}. Nothing was changed. Allow "
    f"amp-console to use it and try again, or {SET_BOTH}.",
    KeysProblem.TOO_LONG: "The keys are longer than 1,280 characters, the most that the keyring of "
    "every system can store, so nothing was saved. Check what was pasted.",
    KeysProblem.DAMAGED: "Your keyring's entry for this connection is not a pair of keys. It "
    f"was not changed. Store the keys again, or {SET_BOTH}.",
    KeysProblem.NO_KEYRING: "This machine has no keyring now. To keep keys in one, sign in to a "
    f"desktop session. Without one, {SET_BOTH}.",
    KeysProblem.FAILED: "Your keyring failed{cause}. Nothing was changed. Try again, "
    f"or {SET_BOTH}.",
}


class KeysError(Exception):
    """The keys could not be read, stored or removed. `problem` says why.

    `backend_name` is the keyring that was used, or "". `cause` is the name of an exception's type,
    never its text, which may quote the keys. `message` replaces the problem's own text.
    """

    def __init__(
        self, problem: KeysProblem, backend_name: str = "", *, cause: str = "", message: str = ""
    ) -> None:
        super().__init__(message or _WORDS[problem].format(cause=cause and f" ({cause})"))
        self.problem = problem
        self.backend_name = backend_name


@contextmanager
def without_keyring(message: str) -> Iterator[None]:
    """Report a missing keyring with a `message` that says what was not done."""
    try:
        yield
    except KeysError as error:
        if str(error) == _WORDS[KeysProblem.NO_KEYRING]:
            raise KeysError(error.problem, error.backend_name, message=message) from None
        raise


def not_read(error: KeysError, secret: str, remedy: str) -> KeysError:
    """Return an error that names the missing secret, and how to enter it again."""
    match error.problem:
        case KeysProblem.NO_KEYRING:
            message = (
                f"This machine has no keyring now, so {secret} can't be read. Sign in to a desktop "
                "session and try again."
            )
        case KeysProblem.MISSING | KeysProblem.DAMAGED:
            message = f"The keyring no longer has {secret}. {remedy}"
        case _:
            return error
    return KeysError(error.problem, error.backend_name, message=message)


@contextmanager
def about_a_password() -> Iterator[None]:
    """Word errors for a password or a token, which no environment variable can replace."""
    try:
        yield
    except KeysError as error:
        message = str(error).replace(f", or {SET_BOTH}", "")
        if error.problem is KeysProblem.TOO_LONG:
            message = message.replace("The keys are", "The password or token is")
        raise KeysError(error.problem, error.backend_name, message=message) from None


# Many failures are not the keyring library's own errors, and importing the other libraries takes
# time, so types are recognized by name. A dismissed prompt is only the cause of a more general
# error.
_BY_TYPE = {
    "KeyringLocked": KeysProblem.LOCKED,
    "LockedException": KeysProblem.LOCKED,
    "PromptDismissedException": KeysProblem.REFUSED,
    "KeychainDenied": KeysProblem.REFUSED,
    "SecAuthFailure": KeysProblem.REFUSED,
    "PasswordSetError": KeysProblem.REFUSED,
    "PasswordDeleteError": KeysProblem.REFUSED,
    "PermissionError": KeysProblem.REFUSED,
    "NoKeyringError": KeysProblem.NO_KEYRING,
    "SecretServiceNotAvailableException": KeysProblem.NO_KEYRING,
}
_BY_CODE = {
    1312: KeysProblem.NO_KEYRING,  # Windows, ERROR_NO_SUCH_LOGON_SESSION: a network logon
    1783: KeysProblem.TOO_LONG,  # Windows, RPC_X_BAD_STUB_DATA
    -25308: KeysProblem.LOCKED,  # macOS, errSecInteractionNotAllowed: no desktop to ask at
}


def explain(error: BaseException, backend_name: str) -> KeysError:
    """Return the error that a keyring's exception represents; only its type's name is used."""
    problems = [problem for cause in _causes(error) for problem in _problems(cause)]
    problem = problems[-1] if problems else KeysProblem.FAILED
    return KeysError(problem, backend_name, cause=type(error).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _problems(error: BaseException) -> Iterator[KeysProblem]:
    names = (kind.__name__ for kind in type(error).__mro__)
    yield from (_BY_TYPE[name] for name in names if name in _BY_TYPE)
    code = next(iter(error.args), None)
    if isinstance(code, int) and code in _BY_CODE:
        yield _BY_CODE[code]
