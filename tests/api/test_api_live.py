"""The picture of now: for who may see pictures, made when asked for."""

import hashlib
import json

from gateway.contract import CommandError
from tests.api.api_standins import ALARM_TOKEN
from tests.api.conftest import start

VIEW = {"camera": "north-gate", "plates": [{"width": 131.0}], "advice": [], "jpeg": b"\xff\xd8picture"}


async def test_a_picture_comes_with_what_was_measured(served):
    asked = []

    async def execute(verb, arguments, actor):
        asked.append((verb, arguments, actor))
        return dict(VIEW)

    served.commands.execute = execute
    answer = await served.get("/v1/cameras/north-gate/live")
    assert (answer.status, answer.body) == (200, VIEW["jpeg"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    findings = json.loads(answer.headers["linli-aim"])
    assert findings == {"camera": "north-gate", "plates": [{"width": 131.0}], "advice": []}
    assert asked == [("peek", {"camera": "north-gate"}, "consumer:district-platform")]


async def test_nobody_sees_it_without_a_right(tmp_path):
    digest = hashlib.sha256(b"managers").hexdigest()
    consumer = [{"name": "managers", "token_sha256": digest, "streams": ["management"]}]
    served = await start(tmp_path, consumer=consumer)
    try:
        assert (await served.get("/v1/cameras/north-gate/live", token=None)).status == 401
        assert (await served.get("/v1/cameras/north-gate/live", token="wrong")).status == 401
        assert (await served.get("/v1/cameras/north-gate/live", token="managers")).status == 403
        assert served.commands.asked == []
    finally:
        await served.stop()


async def test_troubles_are_problems(served):
    async def execute(verb, arguments, actor):
        raise CommandError("camera north-gate gives no picture now", 409)

    served.commands.execute = execute
    assert (await served.get("/v1/cameras/north-gate/live", token=ALARM_TOKEN)).status == 409
    assert (await served.get("/v1/cameras/North%20Gate/live")).status == 404
