"""Certificates for tests: an authority, and what it signs for servers and clients; for a day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
_BITS = 2048


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
    """Sign certificates.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = _new_key()
        self._name = _name("test authority")
        self.certificate = folder / "ca.pem"
        own = _certificate(self._name, self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.certificate.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def sign(self, name: str, *host_names: str, ends: timedelta = _DAY, key_password: str | None = None) -> Identity:
        """Return a new certificate for `name`, in files of this name.

        Args:
            name: Who it is for.
            host_names: What it is valid for: names, and addresses such as 127.0.0.1.
            ends: From now until it expires; less than nothing for one that has expired.
            key_password: What its key is locked with; None leaves it open.
        """
        identity, key = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key"), _new_key()
        made = _certificate(_name(name), self._name, key, x509.BasicConstraints(ca=False, path_length=None), ends)
        if host_names:
            made = made.add_extension(x509.SubjectAlternativeName([_host(each) for each in host_names]), critical=False)
        identity.certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        locked = BestAvailableEncryption(key_password.encode()) if key_password is not None else NoEncryption()
        identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        return identity


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=_BITS)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    constraints: x509.BasicConstraints,
    ends: timedelta = _DAY,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now + ends)
        .add_extension(constraints, critical=True)
    )


def _host(text: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(text)) if text[0].isdigit() else x509.DNSName(text)
