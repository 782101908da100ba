"""A base URL as it may be shown: one that was edited by hand may contain a secret."""

import re


def shown_url(url: str) -> str:
    """Return a base URL with *** for a user name and password, a query and a fragment.

    No request is sent to such a URL (`checked_base_url`), but settings are listed unchecked.
    """
    begin, separator, rest = url.rpartition("://") if url.count("://") == 1 else ("", "", url)
    rest = re.sub(r".*@", "***@", rest, flags=re.DOTALL)
    return begin + separator + re.sub(r"([?#]).*", r"\1***", rest, flags=re.DOTALL)
