"""A private certificate authority for tests."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from recoup.kit.spiffe import MutualTls


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Authority:
    """Signs whatever a test asks for."""

    folder: Path
    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        made = self._builder(named(self.name), self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = self._written(self.name, made.sign(self.key, hashes.SHA256()))

    def certificate(self, file: str, *uris: str, days: int = 1, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key, for these URIs and an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.UniformResourceIdentifier, uris), x509.IPAddress(ip_address(address))]
        made = self._builder(named(file), key, days).add_extension(x509.SubjectAlternativeName(names), critical=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{file}.key"
        path.write_bytes(pem)
        return self._written(file, made.sign(self.key, hashes.SHA256())), path

    def mutual(self, service: str, *uris: str, trust: Path | None = None, days: int = 1) -> MutualTls:
        """Settings of a process with these ids, its own by default."""
        certificate, key = self.certificate(service, *(uris or (f"spiffe://recoup.local/{service}",)), days=days)
        return MutualTls(certificate=str(certificate), key=str(key), authority=str(trust or self.file))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        start, end = sorted((now - timedelta(hours=1), now + timedelta(days=days)))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )

    def _written(self, file: str, certificate: x509.Certificate) -> Path:
        path = self.folder / f"{file}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path
