# SPDX-License-Identifier: Apache-2.0
"""Keys, certificates and signatures of images, as cosign and notation make them; made by the program openssl."""
import base64
import json
import subprocess

from registry import MANIFEST, digest

EMPTY = b"{}"
CONFIG = "application/vnd.oci.image.config.v1+json"
SIMPLE, ANNOTATION = "application/vnd.dev.cosign.simplesigning.v1+json", "dev.cosignproject.cosign/signature"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOTARY, JWS, COSE = "application/vnd.cncf.notary.signature", "application/jose+json", "application/cose"
KINDS = {"ec": ("EC", "ec_paramgen_curve:P-256"), "rsa": ("RSA", "rsa_keygen_bits:2048"), "ed25519": ("ED25519", None)}


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True, capture_output=True).stdout


class Key:
    """A private key in a file of the folder, and its public one as PEM."""

    def __init__(self, folder, name, kind="ec"):
        self.path, self.kind = folder / f"{name}.key", kind
        algorithm, option = KINDS[kind]
        openssl("genpkey", "-algorithm", algorithm, *(("-pkeyopt", option) if option else ()), "-out", self.path)
        self.pem = openssl("pkey", "-in", self.path, "-pubout")

    def sign(self, message, pss=False):
        if self.kind == "ed25519":
            (self.path.parent / "message").write_bytes(message)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", self.path.parent / "message")
        return openssl("dgst", "-sha256", *(("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32") if pss else ()), "-sign", self.path, data=message)


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def payload_of(target):
    return json.dumps({"critical": {"identity": {"docker-reference": "registry.example/app"}, "image": {"docker-manifest-digest": target},
                                    "type": "cosign container image signature"}, "optional": None}).encode()


def bundle_of(key, target):
    """As cosign 3 makes it."""
    statement = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": target.removeprefix("sha256:")}}],
                            "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {}}).encode()
    kind = "application/vnd.in-toto+json"
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(statement), statement)
    return json.dumps({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "x"}},
                       "dsseEnvelope": {"payload": b64(statement), "payloadType": kind, "signatures": [{"sig": b64(key.sign(signed))}]}}).encode()


def certificate(key, subject="/C=DE/O=acme/CN=signer", days=30, usage="critical,digitalSignature"):
    """One that signed itself, as PEM."""
    return openssl("req", "-x509", "-new", "-key", key.path, "-subj", subject, "-days", days, "-sha256", "-addext", f"keyUsage={usage}",
                   "-addext", "extendedKeyUsage=codeSigning", "-addext", "basicConstraints=critical,CA:FALSE")


def der_of(pem):
    return openssl("x509", "-outform", "DER", data=pem)


def envelope_of(key, pem, target, scheme="notary.x509", expiry=None, **more):
    """As notation makes it of an RSA key of 2048 bits, or on P-256."""
    header = {"alg": "PS256", "cty": "application/vnd.cncf.notary.payload.v1+json", "crit": ["io.cncf.notary.signingScheme"],
              "io.cncf.notary.signingScheme": scheme, "io.cncf.notary.signingTime": "2026-01-01T00:00:00Z", **more}
    if expiry:
        header["crit"].append("io.cncf.notary.expiry")
        header["io.cncf.notary.expiry"] = expiry
    text = b64url(json.dumps(header).encode())
    payload = b64url(json.dumps({"targetArtifact": {"mediaType": MANIFEST, "digest": target, "size": 7}}).encode())
    return json.dumps({"payload": payload, "protected": text, "header": {"x5c": [b64(der_of(pem))]},
                       "signature": b64url(key.sign(f"{text}.{payload}".encode(), pss=True))}).encode()


def push_signature(worker, name, layers, tag=None, subject=None, artifact_type=None, **more):
    """A manifest whose layers are (media type, bytes, annotations); under the tag, or with the image's bytes as its subject."""
    for blob in (EMPTY, *(blob for _, blob, _ in layers)):
        reply = worker.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(blob)}", data=blob, **more)
        assert reply.status_code == 201, reply.text
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": artifact_type or CONFIG, "digest": digest(EMPTY), "size": len(EMPTY)},
            "layers": [{"mediaType": kind, "digest": digest(blob), "size": len(blob), **({"annotations": notes} if notes else {})} for kind, blob, notes in layers]}
    if subject:
        body |= {"subject": {"mediaType": MANIFEST, "digest": digest(subject), "size": len(subject)}, "artifactType": artifact_type}
    body = json.dumps(body).encode()
    reply = worker.call("PUT", f"/v2/{name}/manifests/{tag or digest(body)}", data=body, headers={"Content-Type": MANIFEST}, **more)
    assert reply.status_code == 201, reply.text
    return digest(body)


def sign(worker, name, image, *keys, target=None, **more):
    """As cosign 1 and 2: under its tag, a layer for each key."""
    payload = payload_of(target or digest(image))
    return push_signature(worker, name, [(SIMPLE, payload, {ANNOTATION: b64(key.sign(payload))}) for key in keys],
                          tag=digest(image).replace(":", "-") + ".sig", **more)
