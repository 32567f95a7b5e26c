"""A registration at a view library: registered by digest, kept alive, and given up at the end."""

import ssl

import msgspec

from gateway import __version__
from gateway.contract import Clock
from gateway.settings.core import Gat1400Settings
from gateway.settings.secret import read_secret
from gateway.uplink.answers import Verdict
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.gat1400 import codes, digest
from gateway.uplink.gat1400.statuses import read_statuses
from gateway.uplink.http.connection import LARGEST_ANSWER, Answer, Connection, Headers
from gateway.uplink.http.origin import Origin, origin
from gateway.uplink.http.wire import acknowledgement

CONTENT_TYPE = "application/VIID+JSON;charset=utf-8"
USER_AGENT = f"linli-gateway/{__version__}"
REGISTER, KEEPALIVE, UNREGISTER = "/VIID/System/Register", "/VIID/System/Keepalive", "/VIID/System/UnRegister"
VEHICLES = "/VIID/MotorVehicles"
# Unknown nonce, then one that is stale: a third answer in vain is no accident.
MOST_PROOFS = 3


class LostError(ConnectionFailedError):
    """The platform does not know us any more: the next session registers again."""


def place_of(settings: Gat1400Settings) -> Origin:
    """Return where the platform is; ``target`` is what stands before /VIID."""
    place = origin(settings.url)
    return Origin(place.host, place.port, place.tls, place.target.rstrip("/"))


class Session:
    """One connection; asks one thing at a time. ConfigError when the password cannot be read.

    ``served``: since it was registered, the platform has shown that it knows us.
    """

    def __init__(self, settings: Gat1400Settings, tls: ssl.SSLContext | None, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._password = read_secret(settings.password_file)
        self._place = place_of(settings)
        self._connection = Connection(self._place, tls, settings.timeout, LARGEST_ANSWER)
        self._challenge: digest.Challenge | None = None
        self._proofs = 0
        self.registered = self.served = False

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    async def register(self) -> None:
        """Register; ConnectionFailedError in one sentence otherwise."""
        body = {"RegisterObject": {"DeviceID": self._settings.device_id}}
        answer = await self._ask_with_proof(REGISTER, body, identify=False)
        if answer.status == codes.UNAUTHORIZED:
            raise ConnectionFailedError(self._distrusted(answer), answer.status, refused=True)
        self._accept(answer, "to register this gateway")
        self.registered, self.served = True, False

    async def keep_alive(self) -> None:
        """Say that we are there; LostError when the platform does not know us any more."""
        body = {"KeepaliveObject": {"DeviceID": self._settings.device_id}}
        answer = await self._ask(KEEPALIVE, msgspec.json.encode(body), self._headers())
        self._still_known(answer)
        try:
            self._accept(answer, "to keep the registration")
        except ConnectionFailedError as error:
            self.registered = answer.status >= 500  # it could not look, or has forgotten us
            raise LostError(str(error), error.code, refused=error.refused, discreet=error.discreet) from None
        self.served = True

    async def post(self, body: bytes) -> Answer:
        """Post vehicles; LostError when the platform does not know us any more."""
        answer = await self._ask(VEHICLES, body, self._headers())
        self._still_known(answer)
        self.served = 200 <= answer.status < 300
        return answer

    async def unregister(self) -> None:
        """Take our leave; ConnectionFailedError when the platform does not want to hear of it."""
        body = {"UnRegisterObject": {"DeviceID": self._settings.device_id}}
        self.registered = False
        self._accept(await self._ask_with_proof(UNREGISTER, body, identify=True), "to end the registration")

    # ------------------------------------------------------------------------------------------------ asking

    def _headers(self, *, identify: bool = True) -> list[tuple[str, str]]:
        headers = [("User-Agent", USER_AGENT), ("Content-Type", CONTENT_TYPE), ("Accept", "*/*")]
        return [*headers, ("User-Identify", self._settings.device_id)] if identify else headers

    async def _ask(self, path: str, body: bytes, headers: Headers) -> Answer:
        return await self._connection.ask("POST", self._place.target + path, headers, body)

    async def _ask_with_proof(self, path: str, about: object, *, identify: bool) -> Answer:
        """Ask, and prove who we are as the platform wants it; its 401 when it is not content with that."""
        body, headers = msgspec.json.encode(about), self._headers(identify=identify)
        fresh = False
        for _ in range(MOST_PROOFS):
            proof = self._proof(path, body)
            answer = await self._ask(path, body, [*headers, *proof])
            if answer.status != codes.UNAUTHORIZED:
                return answer
            self._challenge = digest.choose(answer.headers.get("www-authenticate", ""))
            if self._challenge is None or (fresh and proof and not self._challenge.stale):
                return answer
            self._proofs, fresh = 0, True
        return answer

    def _proof(self, path: str, body: bytes) -> list[tuple[str, str]]:
        if self._challenge is None:
            return []
        self._proofs += 1
        user, target = self._settings.user or self._settings.device_id, self._place.target + path
        value = digest.answer(self._challenge, user, self._password, "POST", target, body, self._proofs)
        return [("Authorization", value)]

    # ------------------------------------------------------------------------------------------------ judging

    def _still_known(self, answer: Answer) -> None:
        if answer.status == codes.UNAUTHORIZED:
            self.registered = False
            raise LostError("the platform does not know this gateway any more; it registers again", answer.status)

    def _accept(self, answer: Answer, what: str) -> None:
        """Return when the answer is a yes: a 2xx without a StatusCode but 0."""
        if not 200 <= answer.status < 300:
            said = acknowledgement(answer, self._clock).text
            refused = codes.verdict(answer.status) is not Verdict.LATER
            raise _refusal(answer.status, what, said, refused=refused)
        statuses = read_statuses(answer.body)
        if answer.body.strip() and not statuses:
            sentence = f"{self._place.url} does not answer as a view library does; check url in [uplink.gat1400]"
            raise ConnectionFailedError(sentence, answer.status, refused=True)
        for status in statuses:
            if status.code != codes.OK:
                refused = codes.verdict(status.code) is not Verdict.LATER
                raise _refusal(status.code, what, status.text, refused=refused)

    def _distrusted(self, answer: Answer) -> str:
        if self._challenge is None:
            asks = answer.headers.get("www-authenticate", "").partition(" ")[0]
            how = f"by {asks}" if asks.isalnum() and asks.lower() != "digest" else "in an unknown way"
            return (
                f"the platform asks for a proof {how}, but GA/T 1400 knows digest with MD5 or SHA-256; ask its operator"
            )
        return "the platform does not accept user and password; check user and password_file in [uplink.gat1400]"


def _refusal(code: int, what: str, said: str, *, refused: bool) -> ConnectionFailedError:
    sentence, discreet = codes.sentence(code, what, said), codes.sentence(code, what)
    return ConnectionFailedError(sentence, code, refused=refused, discreet=discreet)
