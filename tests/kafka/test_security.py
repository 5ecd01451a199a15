"""TLS and SCRAM against a real broker: who may come in, what the rest is told, and that no secret is told to anyone."""

import asyncio
import datetime as dt
import ipaddress
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs
from tests.contracts.reading import take
from tests.kafka.broker import QUICK, Broker, kafka_classpath

from recoup.kit.errors import Invalid, Unavailable
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log, Outgoing
from recoup.kit.ports import free_port

PASSWORD = "correct horse"
WRONG = "battery staple"

pytestmark = pytest.mark.kafka


class Authority:
    """Signs certificates."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._own = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def certificate(self) -> bytes:
        return self._own.public_bytes(serialization.Encoding.PEM)

    def key_store(self) -> bytes:
        """A key and its certificate for 127.0.0.1, as a broker reads them."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")]), key, here)
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + certificate.public_bytes(serialization.Encoding.PEM)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Where a broker speaks TLS and wants a SCRAM password."""
    ours = Authority("ours")
    (folder / "broker.pem").write_bytes(ours.key_store())
    (folder / "ours.pem").write_bytes(ours.certificate())
    (folder / "theirs.pem").write_bytes(Authority("theirs").certificate())
    secure = free_port()
    broker = Broker(folder / "1", kafka_classpath())
    broker.options = {
        "listeners": f"PLAINTEXT://{broker.address},SECURE://127.0.0.1:{secure},"
        f"CONTROLLER://127.0.0.1:{broker.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "broker.pem",
        "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    broker.format("--add-scram", f"SCRAM-SHA-512=[name=recoup,password={PASSWORD}]")
    broker.start()
    yield secure
    broker.kill()


@pytest.fixture
def url(port: int, folder: Path) -> str:
    return _url(port, folder)


def _url(port: int, folder: Path, *, password: str = PASSWORD, authority: str = "ours.pem") -> str:
    options = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(folder / authority),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "recoup",
        "sasl.password": password,
    }
    return f"kafka://127.0.0.1:{port}?{QUICK}&{urlencode(options)}"


async def test_records_are_written_and_read_under_tls_and_a_password(url: str, valkey_url: str) -> None:
    log = open_log(url, 1, valkey_url)
    topic = f"t-{uuid4().hex[:12]}"
    await log.append(topic, [Outgoing(0, b"safe")])
    reader = log.reader(f"g-{topic}", "a", [topic])

    assert [record.value for record in await take(reader, 1)] == [b"safe"]

    await reader.close()
    await log.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"password": WRONG}, "a broker refused us: .*invalid credentials"),
        ({"authority": "theirs.pem"}, "a broker refused us: .*certificate"),
    ],
)
async def test_whom_the_broker_or_we_do_not_trust_is_told_why_and_no_secret_is(
    port: int, folder: Path, valkey_url: str, caplog: pytest.LogCaptureFixture, options: dict[str, str], said: str
) -> None:
    caplog.set_level(logging.DEBUG)
    log = open_log(_url(port, folder, **options), 1, valkey_url)

    with capture_logs() as logs:
        heard = [await _refused(log, said), await _refused_reading(log, said)]

    shown = "\n".join([*heard, *map(str, logs), caplog.text, repr(log), repr(log.reader("g", "a", ["t"]))])
    assert PASSWORD not in shown
    assert WRONG not in shown


async def _refused(log: Log, said: str) -> str:
    with pytest.raises(Unavailable, match=said) as caught:
        await log.ping()
    return f"{caught.value!r} {caught.value.__cause__!r}"


async def _refused_reading(log: Log, said: str) -> str:
    reader = log.reader("g", "a", ["t"])
    with pytest.raises(Unavailable, match=said) as caught:
        async with asyncio.timeout(60):
            await reader.read(wait_seconds=0.2, limit=1)
    await reader.close()
    await log.close()
    return f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("ssl.ca.location=/nowhere.pem&security.protocol=SSL", "ssl.ca.location"),
        ("no.such.option=1", "no.such.option"),
        ("security.protocol=SASL_PLAINTEXT&sasl.mechanism=SCRAM-SHA-512&sasl.password=secret", "sasl.username"),
    ],
)
async def test_options_that_cannot_be_are_our_mistake(option: str, said: str, valkey_url: str) -> None:
    log = open_log(f"kafka://127.0.0.1:1?{option}", 1, valkey_url)

    with pytest.raises(Invalid, match=said) as caught:
        await log.ping()

    assert "secret" not in str(caught.value)
    await log.close()
