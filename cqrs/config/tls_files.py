"""Certificates and keys in files: whether they can be used, and loading them."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cqrs.exceptions import ConfigurationException


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Name the files of one end of TLS.

    Attributes:
        cafile: The authorities that are trusted; None trusts the system's.
        certfile: The own certificate, or None.
        keyfile: Its private key, or None.
        key_password: The password of the key, or None.
        prefix: What the names of the settings begin with that hold these.
    """

    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    prefix: str = "KAFKA_SSL_"

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the files that are named."""
        return tuple(path for path in (self.cafile, self.certfile, self.keyfile) if path is not None)

    def problems(self) -> list[str]:
        """Return a sentence for each file that cannot be read, or else for each that does not hold what it should."""
        named = {"CAFILE": self.cafile, "CERTFILE": self.certfile, "KEYFILE": self.keyfile}
        unreadable = [
            f"{self.prefix}{name}: {problem}"
            for name, path in named.items()
            if path and (problem := unreadable_file(path))
        ]
        return unreadable or list(self._load(ssl.create_default_context()))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give `context` the certificates that stand in the files now.

        Raises:
            ConfigurationException: a file does not hold what it should; names every one.
        """
        if problems := list(self._load(context)):
            raise ConfigurationException(problems)

    def _load(self, context: ssl.SSLContext) -> Iterator[str]:
        if self.cafile is not None:
            try:
                context.load_verify_locations(self.cafile)
            except OSError as error:
                yield f"{self.prefix}CAFILE: {self.cafile} holds no certificate in PEM: {error}"
        if self.certfile is not None and self.keyfile is not None:
            try:
                # A password that is not None: openssl would ask the terminal for one.
                context.load_cert_chain(self.certfile, self.keyfile, self.key_password or "")
            except (OSError, ValueError) as error:
                yield self._chain_problem(error)

    def _chain_problem(self, error: Exception) -> str:
        what = f"{self.prefix}CERTFILE, {self.prefix}KEYFILE: {self.certfile} and {self.keyfile}"
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            return f"{what} do not belong together ({reason})"
        return f"{what} are not a certificate and its key in PEM, or {self.prefix}KEY_PASSWORD is wrong ({reason})"


def unreadable_file(path: Path) -> str:
    """Return why `path` cannot be read, or nothing."""
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
