"""Keys, against OpenSSH's and OpenSSL's own tools and Flower's own functions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, uses_nist_ec_curve

from server.link.folder.authority import create_authority
from shared.deployment.keys import (
    PassphraseNeeded,
    certificate_fingerprint,
    fingerprint,
    generate_private_key,
    load_private_key,
    parse_public_key,
    private_key_bytes,
    public_key_line,
)
from shared.errors import ConfigError, SiteError
from shared.storage.files import write_private

needs_ssh_keygen = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return generate_private_key()


def printed(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def openssh(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def test_flower_takes_the_key(key: ec.EllipticCurvePrivateKey) -> None:
    read = serialization.load_ssh_private_key(private_key_bytes(key), None)
    assert isinstance(read, ec.EllipticCurvePrivateKey)
    assert uses_nist_ec_curve(read.public_key())
    assert parse_public_key(public_key_line(key)).raw == public_key_to_bytes(key.public_key())


@needs_ssh_keygen
def test_openssh_agrees(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    private, public = tmp_path / "key", tmp_path / "key.pub"
    write_private(private, private_key_bytes(key))
    line = public_key_line(key, "north")
    public.write_text(line + "\n", encoding="utf-8")
    assert printed("ssh-keygen", "-y", "-f", private) == public_key_line(key)
    assert printed("ssh-keygen", "-lf", public) == f"384 {fingerprint(line)} north (ECDSA)"


@needs_ssh_keygen
def test_a_key_that_openssh_made(tmp_path: Path) -> None:
    file = tmp_path / "key"
    printed("ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-C", "a site", "-f", file)
    line = (tmp_path / "key.pub").read_text(encoding="utf-8")
    assert parse_public_key(line).line == public_key_line(load_private_key(file))
    assert f" {fingerprint(line)} " in printed("ssh-keygen", "-lf", file)


@needs_openssl
def test_openssl_agrees_on_a_certificate(tmp_path: Path) -> None:
    pem, _ = create_authority("hub")
    (tmp_path / "ca.crt").write_text(pem, encoding="ascii")
    shown = printed(
        "openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", tmp_path / "ca.crt"
    )
    assert shown.partition("=")[2] == certificate_fingerprint(pem)


def test_a_key_is_the_same_whatever_its_comment(key: ec.EllipticCurvePrivateKey) -> None:
    line = public_key_line(key, "Dr. North\nand more")
    assert line.endswith(" Dr. North and more")
    assert parse_public_key(f"  {line}\r\n") == parse_public_key(public_key_line(key))
    assert fingerprint(line) == fingerprint(public_key_line(key))
    assert parse_public_key(public_key_line(generate_private_key())) != parse_public_key(line)


def test_a_private_key_is_read_back(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(tmp_path / "key", private_key_bytes(key))
    assert load_private_key(tmp_path / "key").private_numbers() == key.private_numbers()


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o610])
def test_a_private_key_that_others_can_use(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, bits: int
) -> None:
    file = tmp_path / "key"
    write_private(file, private_key_bytes(key))
    file.chmod(bits)
    with pytest.raises(SiteError, match=f"chmod 600 {file}"):
        load_private_key(file)


def test_what_is_no_private_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file = tmp_path / "key"
    with pytest.raises(SiteError, match=r"no private key .*fedthaw site init"):
        load_private_key(file)
    with pytest.raises(SiteError, match="cannot be read"):
        load_private_key(tmp_path)
    for data in (
        b"",
        b"\x00\xff",
        private_key_bytes(key)[:-100],
        public_key_line(key).encode(),
        openssh(ed25519.Ed25519PrivateKey.generate()),
        openssh(ec.generate_private_key(ec.SECP256R1())),
    ):
        write_private(file, data)
        with pytest.raises(SiteError, match="ecdsa-sha2-nistp384"):
            load_private_key(file)


@needs_ssh_keygen
def test_a_private_key_with_a_password(tmp_path: Path) -> None:
    file = tmp_path / "key"
    printed("ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "secret", "-f", file)
    with pytest.raises(PassphraseNeeded, match="has a passphrase"):
        load_private_key(file)
    with pytest.raises(SiteError, match="The passphrase does not open"):
        load_private_key(file, b"another")
    line = file.with_suffix(".pub").read_text(encoding="utf-8")
    assert public_key_line(load_private_key(file, b"secret")) == " ".join(line.split()[:2])


@needs_ssh_keygen
def test_openssh_opens_an_encrypted_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file = tmp_path / "key"
    write_private(file, private_key_bytes(key, b"a long secret"))
    assert printed("ssh-keygen", "-y", "-P", "a long secret", "-f", file) == public_key_line(key)
    with pytest.raises(subprocess.CalledProcessError):
        printed("ssh-keygen", "-y", "-P", "", "-f", file)
    assert load_private_key(file, b"a long secret").private_numbers() == key.private_numbers()


def test_a_passphrase_is_of_no_account_where_there_is_none(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    write_private(tmp_path / "key", private_key_bytes(key))
    read = load_private_key(tmp_path / "key", b"any")
    assert read.private_numbers() == key.private_numbers()


def test_a_private_key_in_place_of_a_public_one(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(ConfigError, match="PRIVATE key, which must never leave") as caught:
        parse_public_key(private_key_bytes(key).decode("ascii"))
    assert private_key_bytes(key).decode("ascii")[60:80] not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: "", "not a public key"),
        (lambda line: " \n ", "not a public key"),
        (lambda line: f"{line}\n{line}", "not a public key"),
        (lambda line: "x" * 20000, "not a public key"),
        (lambda line: line[:60], "damaged"),
        (lambda line: line.split()[0], "damaged"),
        (lambda line: line.replace("AAAA", "!!!!"), "damaged"),
        (lambda line: f"no-pty {line}", "of type 'no-pty'"),
        (lambda line: f"{line.split()[0]} \ud800", "damaged"),
    ],
)
def test_what_is_no_public_key(key: ec.EllipticCurvePrivateKey, change: object, said: str) -> None:
    assert callable(change)
    with pytest.raises(ConfigError, match=said):
        parse_public_key(change(public_key_line(key)))


def test_a_public_key_of_another_type() -> None:
    others: list[ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey] = [
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ]
    for other in others:
        line = other.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ).decode()
        with pytest.raises(ConfigError, match=f"of type '{line.split()[0]}'"):
            parse_public_key(line)
        with pytest.raises(ConfigError, match="damaged"):
            parse_public_key(f"ecdsa-sha2-nistp384 {line.split()[1]}")
