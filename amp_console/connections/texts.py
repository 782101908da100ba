"""What people type or paste: trimmed, and refused in a plain sentence."""

import unicodedata

from amp_console.text import trimmed


def checked_name(text: str) -> str:
    """Return a connection's name, trimmed and in Unicode's composed form.

    Raises ValueError: it is empty, longer than 100 characters, or not all of it can be shown.
    """
    name = unicodedata.normalize("NFC", trimmed(text))
    if not name:
        raise ValueError("A connection needs a name.")
    if len(name) > 100:
        raise ValueError(f"The name has {len(name)} characters; it may have up to 100.")
    if not name.isprintable():
        raise ValueError("The name holds a character that can't be shown, such as a line break.")
    return name


def checked_email(text: str) -> str:
    """Return an email address, trimmed: something, an @, and a domain with a dot.

    Whether Amplitude knows its owner is for Amplitude to say.

    Raises ValueError: it is empty, or doesn't look like an address.
    """
    email = trimmed(text)
    if not email:
        raise ValueError("The email address is missing. Enter the login of the cohort owner.")
    mailbox, _, domain = email.rpartition("@")
    visible = email.isprintable() and not any(character.isspace() for character in email)
    if not (mailbox and all(domain.split(".")) and "." in domain and visible) or len(email) > 254:
        raise ValueError("That isn't an email address. It should look like owner@example.com.")
    return email
