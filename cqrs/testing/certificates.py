"""Certificates for tests, made by the `openssl` program: an authority, a server's and a client's certificate."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cqrs.exceptions import CqrsException

_SECONDS = 60


class CertificateException(CqrsException):
    """Report that certificates cannot be made on this machine, with the program's own words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Name the files of one certificate.

    Attributes:
        certificate: The certificate, PEM.
        key: Its private key, PEM (PKCS#8).
    """

    certificate: Path
    key: Path


class CertificateAuthority:
    """Sign certificates that are good for a day.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        subject = ("-subj", "/CN=test authority", "-days", "1")
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self._key, "-out", self.certificate, *subject
        )

    def sign(self, name: str, *host_names: str) -> Identity:
        """Return a new certificate for `name`, valid for `host_names` (those and addresses, such as 127.0.0.1)."""
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        subject = ("-subj", f"/CN={name}")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", identity.key, "-out", request, *subject)
        names = ",".join(f"{'IP' if each[0].isdigit() else 'DNS'}:{each}" for each in host_names)
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        signing = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", "1")
        _openssl("x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", identity.certificate)
        return identity


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise CertificateException("Certificates need the openssl program; on Debian: apt-get install -y openssl.")
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    if done.returncode:
        raise CertificateException(f"`{' '.join(command)}` failed:\n{done.stderr}")
