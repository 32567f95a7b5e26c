"""Status, metrics, health and the description of the interface."""

import json

from tests.api.api_standins import ALARM_TOKEN, fetch
from tests.api.conftest import start
from tests.api.test_api_pull import is_problem


async def test_status_is_the_commands_status(served):
    answer = await served.get("/v1/status")
    assert answer.json == json.loads(json.dumps(served.commands.status()))
    assert served.commands.asked == [("status", {}, "consumer:district-platform")]


async def test_status_hides_perception_from_those_without_it(served):
    served.commands.answer = {
        "devices": [{"name": "sump-level", "state": "online", "last": {"level": {"value": 1.8}}}],
        "cameras": [
            {"name": "north-gate", "state": "online", "last_picture": "ab", "last_passages": [{}], "last_falls": [{}]}
        ],
    }
    whole = (await served.get("/v1/status")).json
    assert whole["devices"][0]["last"]
    less = (await served.get("/v1/status", token=ALARM_TOKEN)).json
    assert less["devices"] == [{"name": "sump-level", "state": "online"}]
    assert less["cameras"] == [{"name": "north-gate", "state": "online"}]


async def test_metrics_measure_levels_when_asked(served):
    await served.store.add("perception", 5)
    served.store.confirm("district-platform", "perception", 2)
    served.commands.answer = {
        "alarms": [
            {"name": "a", "severity": "major", "state": "unacknowledged"},
            {"name": "b", "severity": "major", "state": "acknowledged"},
            {"name": "c", "severity": "major", "state": "normal"},
            {"name": "d", "severity": "critical", "state": "returned-unacknowledged"},
        ]
    }
    answer = await served.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.body.decode()
    assert 'linli_backlog_records{consumer="district-platform",stream="perception"} 3.0' in text
    assert 'linli_alarms_active{severity="major"} 2.0' in text
    assert 'linli_alarms_active{severity="critical"} 0.0' in text
    assert 'linli_store_bytes{part="records"} 4096.0' in text
    assert "# TYPE linli_readings_total counter" in text


async def test_health_is_200_or_503(tmp_path):
    stuck = []
    served = await start(tmp_path, health=lambda: stuck[0] if stuck else None)
    assert (await served.get("/healthz", token=None)).json == {"status": "ok"}
    assert (await served.get("/healthz", token=None, method="HEAD")).status == 200
    served.store.failing = "the disk at /secret/path is full"
    answer = await served.get("/healthz", token=None)
    is_problem(answer, 503)
    assert b"secret" not in answer.body
    served.store.failing = None
    stuck.append("the core does not turn")
    is_problem(await served.get("/healthz", token=None), 503)
    await served.stop()


async def test_openapi_is_made_from_the_endpoints(served):
    described = (await served.get("/openapi.json", token=None)).json
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {
        "/v1/streams/{stream}/records",
        "/v1/streams/{stream}/ack",
        "/v1/media/{sha256}",
        "/v1/status",
        "/metrics",
        "/healthz",
        "/openapi.json",
    }
    records = described["paths"]["/v1/streams/{stream}/records"]["get"]
    parameters = {parameter["name"]: parameter for parameter in records["parameters"]}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000}
    assert parameters["stream"]["required"] is True
    assert set(records["responses"]) == {"200", "400", "401", "403", "404", "410", "429", "503"}
    assert described["paths"]["/healthz"]["get"]["security"] == []
    body = described["paths"]["/v1/streams/{stream}/ack"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["cursor"]


async def test_every_described_get_answers(served):
    described = (await served.get("/openapi.json", token=None)).json
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            target = path.replace("{stream}", "alarm").replace("{sha256}", "0" * 64)
            answer = await fetch(served.api.address, target, method=method.upper(), body=b"")
            assert str(answer.status) in operation["responses"], (path, answer)
            refused = await fetch(served.api.address, f"{target}?nonsense=1", method=method.upper(), body=b"")
            assert refused.status == 400
            assert "400" in operation["responses"], path
