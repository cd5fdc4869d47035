"""Hide what a text must not tell: the passwords in the URLs that stand in it."""

import re

# Up to the last @ of the word: a password may hold any character, also one that should have been percent-encoded.
# Another URL behind a comma is one of its own. Quotes end a URL, so that what stands behind it stays readable. Digits
# before a slash are a port.
_PASSWORD = re.compile(
    r"(?<=://)([^\s/:@\"'?#]*):((?!\d{1,5}[/?#])(?:(?!,[a-z][a-z0-9+.-]*://)[^\s\"'])*)@", re.IGNORECASE
)
_PARAMETER = re.compile(r"([?&][^=&\s]*(?:passw|secret|token|api_?key)[^=&\s]*=)[^&\s\"']+", re.IGNORECASE)


def without_url_passwords(text: str, mask: str = "***") -> str:
    """Return `text` with the password of every URL in it replaced by `mask`, and secret parameters of its query too."""
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{mask}", _PASSWORD.sub(rf"\1:{mask}@", text))
