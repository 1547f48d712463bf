"""OpenID Connect tokens against an issuer on this machine: real keys, real HTTP, and the ways to cheat."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic, time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from terralab.catalog.access import issuer_keys
from terralab.catalog.access.authenticate import Authenticate, Callers
from terralab.catalog.access.issuer_keys import ALGORITHMS, IssuerKeys
from terralab.catalog.access.oidc import LEEWAY_SECONDS
from terralab.catalog.access.requests import Reader
from terralab.catalog.errors import ServiceUnavailable, SetupProblem
from terralab.catalog.problems import add_problem_handlers
from terralab.catalog.settings import Settings

AUDIENCE = "terralab"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
EC_384 = ec.generate_private_key(ec.SECP384R1())


def public_jwk(key: Any, kid: str, **members: str) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **members}


@dataclass
class Issuer:
    """What the issuer's web server answers, and how often it was asked for keys."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk(RSA, "rsa"), public_jwk(EC, "ec")])
    discovery: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: int = 0

    def answer(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
        if path == "/keys":
            self.asked += 1
            return {"keys": self.keys}
        return None

    def token(self, key: Any = RSA, kid: str | None = "rsa", algorithm: str = "RS256", **claims: Any) -> str:
        """Return a token that holds, but for what the arguments say; a claim that is None is left out."""
        now = int(time())
        whole = {"iss": self.url, "aud": AUDIENCE, "sub": "ana", "iat": now, "exp": now + 300, "scope": "openid read"}
        body = {name: value for name, value in {**whole, **claims}.items() if value is not None}
        return jwt.encode(body, key, algorithm, {} if kid is None else {"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = found.answer(self.path)
            self.send_response(found.status if document is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(issuer: Issuer) -> TestClient:
    settings = Settings()
    settings.access.open_reads = False
    settings.access.oidc_issuer, settings.access.oidc_audience = issuer.url, AUDIENCE
    app = FastAPI()

    @app.get("/who")
    def who(caller: Reader) -> dict[str, Any]:
        return {
            "name": caller.name,
            "scopes": sorted(caller.scopes),
            "projects": sorted(caller.projects),
            "all": caller.reads_all,
        }

    app.add_middleware(Authenticate, callers=Callers(settings))
    add_problem_handlers(app)
    return TestClient(app)


def status(client: TestClient, token: str) -> int:
    return client.get("/who", headers={"Authorization": f"Bearer {token}"}).status_code


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed_by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """Return a token as an attacker writes it: libraries refuse to sign with a public key as the secret."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.new(secret, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_token_says_who_calls(client: TestClient, issuer: Issuer) -> None:
    for token in (
        issuer.token(scope="openid read write", projects=["flood", "fire"]),
        issuer.token(EC, "ec", "ES256", scope=["read", "write", "email"], projects="flood fire"),
        issuer.token(aud=["other", AUDIENCE], scope="write read", projects=["fire", "flood", 3]),
    ):
        answer = client.get("/who", headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {
            "name": "ana",
            "scopes": ["read", "write"],
            "projects": ["fire", "flood"],
            "all": False,
        }
    assert issuer.asked == 1


def test_an_admin_reads_all(client: TestClient, issuer: Issuer) -> None:
    answer = client.get("/who", headers={"Authorization": f"Bearer {issuer.token(scope='admin')}"})
    assert answer.json()["all"]


def test_without_claims_a_user_reads_what_is_public(client: TestClient, issuer: Issuer) -> None:
    answer = client.get("/who", headers={"Authorization": f"Bearer {issuer.token(scope=None)}"})
    assert answer.json() == {"name": "ana", "scopes": [], "projects": [], "all": False}


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": 1},
        {"exp": "never"},
        {"exp": int(time()) - LEEWAY_SECONDS - 5},
        {"nbf": int(time()) + 3600},
        {"iat": int(time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "lab"},
    ],
)
def test_wrong_claims_are_401(client: TestClient, issuer: Issuer, claims: dict[str, Any]) -> None:
    assert status(client, issuer.token()) == 200
    assert status(client, issuer.token(**claims)) == 401


def test_clocks_may_differ_a_little(client: TestClient, issuer: Issuer) -> None:
    assert LEEWAY_SECONDS <= 60
    assert status(client, issuer.token(exp=int(time()) - LEEWAY_SECONDS + 10)) == 200


def test_tricks_with_the_algorithm_are_401(client: TestClient, issuer: Issuer) -> None:
    assert status(client, issuer.token()) == 200
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    good_head, good_body, good_signature = issuer.token().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"rsa"}').rstrip(b"=").decode()
    tricks = {
        "alg none": f"{none}.{good_body}.",
        "alg none with a signature": f"{none}.{good_body}.{good_signature}",
        "HS256 with the public key as PEM": signed_by_hand({"alg": "HS256", "kid": "rsa"}, claims, pem(RSA)),
        "HS256 with the public key as JWK": signed_by_hand(
            {"alg": "HS256", "kid": "rsa"}, claims, json.dumps(issuer.keys[0]).encode()
        ),
        "HS256 with nothing": signed_by_hand({"alg": "HS256", "kid": "rsa"}, claims, b""),
        "RS384": issuer.token(algorithm="RS384"),
        "PS256": issuer.token(algorithm="PS256"),
        "ES256 under the id of the RSA key": issuer.token(EC, "rsa", "ES256"),
        "RS256 under the id of the EC key": issuer.token(RSA, "ec"),
        "no signature": f"{good_head}.{good_body}.",
        "signature of another body": ".".join([*issuer.token(sub="eve").split(".")[:2], good_signature]),
        "critical extension": jwt.encode(claims, RSA, "RS256", {"kid": "rsa", "crit": ["b64"], "b64": True}),
        "not base64": "%.%.%",
        "not JSON": "YQ.YQ.YQ",
        "header is a list": f"{base64.urlsafe_b64encode(b'[]').decode().rstrip('=')}.{good_body}.{good_signature}",
    }
    assert {name: status(client, token) for name, token in tricks.items()} == dict.fromkeys(tricks, 401)


def test_tricks_with_the_key_id_are_401(client: TestClient, issuer: Issuer) -> None:
    assert status(client, issuer.token()) == 200
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    elsewhere = {"jku": f"{issuer.url}/mine", "x5u": f"{issuer.url}/mine", "jwk": public_jwk(OTHER_RSA, "rsa")}
    tricks = {
        "another key under a known id": issuer.token(OTHER_RSA),
        "unknown id": issuer.token(OTHER_RSA, "other"),
        "path": issuer.token(OTHER_RSA, "../../../../dev/null"),
        "address": issuer.token(OTHER_RSA, f"{issuer.url}/mine"),
        "SQL": issuer.token(OTHER_RSA, "' UNION SELECT 'x'--"),
        "no id where there are two keys": issuer.token(kid=None),
        "brings its own key": jwt.encode(claims, OTHER_RSA, "RS256", {"kid": "rsa", **elsewhere}),
        "id is a number": signed_by_hand({"alg": "RS256", "kid": 1}, claims, b"x"),
        "id is a list": signed_by_hand({"alg": "RS256", "kid": ["rsa"]}, claims, b"x"),
    }
    assert {name: status(client, token) for name, token in tricks.items()} == dict.fromkeys(tricks, 401)
    assert issuer.asked == 1, "ids that are not known do not make us ask again within a minute"


def test_without_an_id_the_only_key_holds(client: TestClient, issuer: Issuer) -> None:
    issuer.keys = [public_jwk(RSA, "rsa")]
    assert status(client, issuer.token(kid=None)) == 200
    assert status(client, issuer.token(OTHER_RSA, kid=None)) == 401


def test_keys_of_other_kinds_are_passed_over(client: TestClient, issuer: Issuer) -> None:
    secret = base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")
    issuer.keys = [
        public_jwk(RSA, "rsa"),
        public_jwk(WEAK_RSA, "weak"),
        public_jwk(OTHER_RSA, "enc", use="enc"),
        public_jwk(OTHER_RSA, "rs512", alg="RS512"),
        public_jwk(EC_384, "p384"),
        {"kty": "oct", "kid": "secret", "k": secret},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
    ]
    tokens = {
        "weak": issuer.token(WEAK_RSA, "weak"),
        "for encryption": issuer.token(OTHER_RSA, "enc"),
        "for another algorithm": issuer.token(OTHER_RSA, "rs512"),
        "symmetric": jwt.encode({"sub": "ana"}, b"s" * 32, "HS256", {"kid": "secret"}),
        "broken": issuer.token(OTHER_RSA, "broken"),
    }
    assert {name: status(client, token) for name, token in tokens.items()} == dict.fromkeys(tokens, 401)
    assert status(client, issuer.token()) == 200


def test_a_new_key_is_found_and_asked_for_once_a_minute(
    client: TestClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(client, issuer.token()) == 200
    issuer.keys.append(public_jwk(OTHER_RSA, "next"))
    assert (status(client, issuer.token(OTHER_RSA, "next")), issuer.asked) == (401, 1)
    later = monotonic() + issuer_keys.ASK_AGAIN_SECONDS
    monkeypatch.setattr(issuer_keys, "monotonic", lambda: later)
    assert (status(client, issuer.token(OTHER_RSA, "next")), issuer.asked) == (200, 2)


def test_a_key_that_the_issuer_drops_stops_to_work(
    client: TestClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(client, issuer.token(EC, "ec", "ES256")) == 200
    issuer.keys = [public_jwk(RSA, "rsa")]
    later = monotonic() + issuer_keys.FRESH_SECONDS
    monkeypatch.setattr(issuer_keys, "monotonic", lambda: later)
    assert status(client, issuer.token(EC, "ec", "ES256")) == 401


def test_an_issuer_that_is_away_is_503_until_it_is_back(
    client: TestClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.status = 500
    assert status(client, issuer.token()) == 503
    issuer.status = 200
    assert status(client, issuer.token()) == 503, "it is not asked again at once"
    later = monotonic() + issuer_keys.RETRY_SECONDS
    monkeypatch.setattr(issuer_keys, "monotonic", lambda: later)
    assert status(client, issuer.token()) == 200


def test_known_keys_hold_for_an_hour_without_the_issuer(
    client: TestClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(client, issuer.token()) == 200
    issuer.status, begin, token = 500, monotonic(), issuer.token(exp=int(time()) + 9000)
    monkeypatch.setattr(issuer_keys, "monotonic", lambda: begin + issuer_keys.FRESH_SECONDS)
    assert status(client, token) == 200
    monkeypatch.setattr(issuer_keys, "monotonic", lambda: begin + issuer_keys.STALE_SECONDS + 1)
    assert status(client, token) == 503


@pytest.mark.parametrize(
    "discovery",
    [
        {"jwks_uri": "http://127.0.0.1:1/keys"},
        {"jwks_uri": "http://localhost.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 5},
        {"issuer": "https://elsewhere.example"},
    ],
)
def test_keys_come_from_the_issuer_alone(issuer: Issuer, discovery: dict[str, Any]) -> None:
    issuer.discovery = discovery
    with pytest.raises(ServiceUnavailable):
        IssuerKeys(issuer.url).fetch("rsa")
    assert issuer.asked == 0


def test_an_address_of_keys_that_is_configured_is_used(issuer: Issuer) -> None:
    issuer.discovery = {"jwks_uri": "http://127.0.0.1:1/keys"}
    assert IssuerKeys(issuer.url, f"{issuer.url}/keys").fetch("rsa") is not None


@pytest.mark.parametrize("document", [[], {}, "x", {"keys": 5}, {"keys": ["x"]}, {"keys": [{"kty": ["RSA"]}]}])
def test_nonsense_of_the_issuer_is_503(issuer: Issuer, document: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "answer", lambda path: document)
    with pytest.raises(ServiceUnavailable):
        IssuerKeys(issuer.url, f"{issuer.url}/keys").fetch("rsa")


@pytest.mark.parametrize("url", ["http://issuer.example", "ftp://issuer.example", "issuer.example", "file:///x"])
def test_an_issuer_without_https_is_refused(url: str) -> None:
    with pytest.raises(SetupProblem, match="https"):
        IssuerKeys(url)


def test_settings_must_be_whole() -> None:
    settings = Settings()
    settings.access.oidc_issuer = "https://issuer.example"
    with pytest.raises(SetupProblem, match="OIDC_AUDIENCE"):
        Callers(settings)


def test_only_two_algorithms_are_taken() -> None:
    assert sorted(ALGORITHMS.values()) == ["ES256", "RS256"]
