"""What the tests of https endpoints share: certificate authorities, and a receiver that speaks TLS."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from utils import Receiver

DAY = datetime.timedelta(days=1)


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


class Authority:
    """A CA of the test's own."""

    def __init__(self, name):
        self.name = common_name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(self.name, self.key, x509.BasicConstraints(ca=True, path_length=0))
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _build(self, name, key, *extensions, since=-DAY, until=DAY):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number(),
                                          now + since, now + until)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, *hosts, until=DAY):
        """Certificate and key as PEM texts; `hosts` are addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts] or [x509.DNSName(name)]
        certificate = self._build(common_name(name), key, x509.SubjectAlternativeName(names),
                                  since=min(-DAY, until - DAY), until=until)
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), key_pem(key)


class TlsReceiver(Receiver):
    """A receiver that shows `server` (certificate and key) and asks for certificates of `clients`, an authority."""

    def __init__(self, directory, server, clients=None, required=True, version=None, callback_url=None):
        super().__init__(callback_url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = directory / "server.pem"
        path.write_text(server[0] + server[1])
        context.load_cert_chain(path)
        if clients:
            context.load_verify_locations(cadata=clients.pem)
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if version:
            context.minimum_version = context.maximum_version = version
        # The handshake is made where the call is read, so that one that hangs does not hold up the others.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                  do_handshake_on_connect=False)

    def url(self, path="/"):
        return super().url(path).replace("http:", "https:")


def peer(handler):
    """The name in the certificate that the caller showed; None when it showed none."""
    shown = handler.connection.getpeercert()
    return dict(part[0] for part in shown["subject"])["commonName"] if shown else None
