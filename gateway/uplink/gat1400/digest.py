"""Digest authentication (RFC 7616): what a 401 asks for, and the answer to it."""

import hashlib
import re
import secrets
from dataclasses import dataclass

# Best first where a platform leaves the choice: MD5 is what GA/T 1400 platforms know, SHA-256 what they should.
ALGORITHMS = {"md5": "md5", "md5-sess": "md5", "sha-256": "sha256", "sha-256-sess": "sha256"}
QOPS = ("auth", "auth-int")
LONGEST_CHALLENGE = 4096
_BARE = r"[A-Za-z0-9!#$%&'*+.^_`|~/=-]"  # RFC 9110, 5.6.2, and what nonces without quotes have besides
_PARAMETER = re.compile(
    r"(?<![A-Za-z0-9_.*-])(?:(?P<scheme>[A-Za-z0-9_.-]++)[ \t]++)?(?P<name>[A-Za-z0-9_*-]++)[ \t]*+=[ \t]*+"
    rf'(?P<value>"(?:[^"\\]|\\.)*+"|{_BARE}++)'
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the platform wants to be answered; ``qop`` is empty for the old form of RFC 2069.

    ``realm``, ``nonce`` and ``opaque`` hold bytes as latin-1 text, as they came.
    """

    realm: str
    nonce: str
    algorithm: str
    qop: str
    opaque: str | None
    stale: bool
    hides_user: bool


def choose(header: str) -> Challenge | None:
    """Return the first Digest challenge of ``WWW-Authenticate`` that we can answer, None when there is none."""
    found: list[dict[str, str]] = []
    for match in _PARAMETER.finditer(header[:LONGEST_CHALLENGE]):
        scheme, name, value = match.group("scheme", "name", "value")
        if scheme is not None:
            found.append({"scheme": scheme.lower()})
        if found:
            found[-1].setdefault(name.lower(), _plain(value))
    challenges = (_challenge(parameters) for parameters in found if parameters["scheme"] == "digest")
    return next((challenge for challenge in challenges if challenge is not None), None)


def answer(
    challenge: Challenge, user: str, password: str, method: str, target: str, body: bytes, count: int, client: str = ""
) -> str:
    """Return the Authorization header (bytes as latin-1 text); ``count``: how often the nonce was used, this included.

    ``client`` is the client's nonce, random without one.
    """
    client = client or secrets.token_hex(16)
    times = f"{count:08x}"
    realm, nonce = challenge.realm.encode("latin-1"), challenge.nonce.encode("latin-1")

    def digest(*parts: bytes) -> bytes:
        algorithm = ALGORITHMS[challenge.algorithm.lower() or "md5"]
        return hashlib.new(algorithm, b":".join(parts), usedforsecurity=False).hexdigest().encode()

    proof = digest(user.encode(), realm, password.encode())
    if challenge.algorithm.lower().endswith("-sess"):
        proof = digest(proof, nonce, client.encode())
    asked = [method.encode(), target.encode()]
    if challenge.qop == "auth-int":
        asked.append(digest(body))
    middle = [times.encode(), client.encode(), challenge.qop.encode()] if challenge.qop else []
    response = digest(proof, nonce, *middle, digest(*asked))
    named = digest(user.encode(), realm) if challenge.hides_user else user.encode()
    fields = [b"username=" + _quoted(named), b"realm=" + _quoted(realm), b"nonce=" + _quoted(nonce)]
    fields += [b"uri=" + _quoted(target.encode()), b"response=" + _quoted(response)]
    if challenge.algorithm:
        fields.append(b"algorithm=" + challenge.algorithm.encode())
    if challenge.opaque is not None:
        fields.append(b"opaque=" + _quoted(challenge.opaque.encode("latin-1")))
    if challenge.qop:
        fields += [b"qop=" + challenge.qop.encode(), b"nc=" + times.encode(), b"cnonce=" + _quoted(client.encode())]
    if challenge.hides_user:
        fields.append(b"userhash=true")
    return "Digest " + b", ".join(fields).decode("latin-1")


def _challenge(parameters: dict[str, str]) -> Challenge | None:
    algorithm = parameters.get("algorithm", "")
    offered = [word.strip().lower() for word in parameters.get("qop", "").split(",")]
    qop = next((one for one in QOPS if one in offered), "")
    if not parameters.get("nonce") or (algorithm and algorithm.lower() not in ALGORITHMS):
        return None
    if any(offered) and not qop:
        return None
    return Challenge(
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        algorithm=algorithm,
        qop=qop,
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
        hides_user=parameters.get("userhash", "").lower() == "true",
    )


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _quoted(value: bytes) -> bytes:
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
