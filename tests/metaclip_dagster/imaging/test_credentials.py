"""What an image's own C2PA manifest says of training is read, without the network, and no manifest ends the reader."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from metaclip_dagster.imaging import credentials
from metaclip_dagster.imaging.credentials import CredentialsError, read_training_mining
from resources.images.store import ImageStore
from tests.metaclip_dagster.imaging.test_imaging import gather, texts_of


def certify() -> tuple[bytes, bytes]:
    """Certificates of a signer and of who vouches for it, and the signer's key, as PEM."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]) for name in ("signer", "root")]
    chain = b""
    for is_root in (False, True):
        public = keys[is_root].public_key()
        usage = [True, False, False, False, False, is_root, is_root, False, False]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[is_root])
            .issuer_name(names[1])
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[1].public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        )
        chain += certificate.sign(keys[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return chain, keys[0].private_bytes(*encoding)


def draw() -> bytes:
    """A JPEG without a manifest."""
    plain = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(plain, "JPEG")
    return plain.getvalue()


def sign(entries: dict[str, Any], label: str = "cawg.training-mining") -> bytes:
    """A JPEG that is signed as saying so."""
    created = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation",
    }
    assertions = [
        {"label": "c2pa.actions", "data": {"actions": [created]}},
        {"label": label, "data": {"entries": {name: {"use": use} for name, use in entries.items()}}},
    ]
    manifest = {"claim_generator_info": [{"name": "test", "version": "1"}], "assertions": assertions}
    signed = io.BytesIO()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", *certify(), None))
    c2pa.Builder(manifest).sign(signer, "image/jpeg", io.BytesIO(draw()), signed)
    return signed.getvalue()


def test_a_signed_image_says_what_it_disallows() -> None:
    no = {"cawg.ai_training": "notAllowed", "cawg.data_mining": "constrained", "cawg.ai_inference": "notAllowed"}
    assert read_training_mining(sign(no)) == "cawg.ai_training: notAllowed, cawg.data_mining: constrained"
    assert read_training_mining(sign({"cawg.ai_training": "allowed", "cawg.ai_inference": "notAllowed"})) is None


def test_an_image_is_stored_with_its_signal_and_one_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    signed = sign({"c2pa.ai_generative_training": "notAllowed"}, "c2pa.training-mining")
    answers: dict[int, Any] = {
        1: signed,
        2: (draw() + b"training-mining", (("X-Robots-Tag", "noml"),)),
        3: ("opted_out", (("TDM-Reservation", "1"),)),
    }

    def fetch(urls: Any) -> Any:
        return ((url, answers[int(url.rsplit("/", 1)[1])]) for url in urls)

    texts = [texts_of(*((number, "en", 1.0) for number in answers))]
    store = ImageStore(tmp_path)
    images, dropped, seen = gather(store, fetch, texts)
    by_number = {int(row["url"].rsplit("/", 1)[1]): row for row in images.to_pylist()}
    said = {number: [(it["signal"], it["value"]) for it in row["opt_outs"]] for number, row in by_number.items()}
    assert said == {
        1: [("c2pa_training_mining", "c2pa.ai_generative_training: notAllowed")],
        2: [("x_robots_tag_image", "noml")],
        3: [("tdm_reservation_image", "1")],
    }
    assert seen["credentials_unread"] == 1
    assert dropped["opted_out"] == 1
    assert gather(store, fetch, texts)[0].equals(images), "the store remembers them"


def test_a_manifest_is_read_once_for_all_addresses_of_its_bytes_and_never_of_what_is_no_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script, calls = tmp_path / "reader.py", tmp_path / "calls"
    script.write_text(f"print('[]'); open({str(calls)!r}, 'a').write('read ')", encoding="utf-8")
    monkeypatch.setattr(credentials, "__file__", str(script))
    signed = sign({"cawg.ai_training": "notAllowed"})
    answers = [signed, signed, signed, b"<p>training-mining</p>", b"<p>training-mining</p>"]

    def fetch(urls: Any) -> Any:
        return ((url, answers[int(url.rsplit("/", 1)[1])]) for url in urls)

    texts = [texts_of(*((number, "en", 1.0) for number in range(len(answers))))]
    _, dropped, seen = gather(ImageStore(tmp_path / "store"), fetch, texts)
    assert calls.read_text(encoding="utf-8") == "read "
    assert (dropped["not_an_image"], seen["credentials_unread"]) == (2, 0)


@pytest.mark.parametrize("ends", ["import os; os.abort()", "import time; time.sleep(60)", "print('no JSON')"])
def test_whatever_ends_the_native_reader_ends_no_worker(
    ends: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "reader.py"
    script.write_text(ends, encoding="utf-8")
    monkeypatch.setattr(credentials, "__file__", str(script))
    monkeypatch.setattr(credentials, "MAX_SECONDS", 1.0)
    with pytest.raises(CredentialsError):
        read_training_mining(b"training-mining")
