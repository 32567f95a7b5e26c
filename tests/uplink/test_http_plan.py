"""What a configuration says of the push: warnings, files, consumers."""

from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan
from gateway.settings.core import HttpSettings, MqttSettings, UplinkSettings
from gateway.store.types import schema
from gateway.uplink import notices
from gateway.uplink.http.codes import HttpWords
from tests.conftest import FakeClock

HEAD = '[gateway]\nid = "gate-1"\n\n[uplink.http]\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "linli.toml"
    file.write_text(HEAD + text)
    return file


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('url = "https://p.example/in"\n', ""),
        ('url = "http://127.0.0.1:80/in"\n', ""),
        ('url = "http://p.example/in"\ninsecure = true\n', ""),
        ('url = "https://p.example/in"\ninsecure = true\n', "insecure: has no effect with https"),
        ('url = "https://p.example/in"\nmedia_rate = "10KiB"\n', "media_rate: has no effect without media"),
        ('url = "https://p.example/in"\ntoken_file = "/nowhere/token"\n', "token_file: there is no file"),
        ('url = "http://localhost/in"\nca_file = "/dev/null"\n', "ca_file: has no effect with http"),
    ],
)
def test_warnings(tmp_path: Path, text: str, warning: str) -> None:
    warnings = load_plan(write(tmp_path, text)).warnings
    assert [warning in line for line in warnings] == ([True] if warning else [])


@pytest.mark.parametrize(
    "text",
    [
        'url = "http://p.example/in"\n',
        'url = "https://p.example/in"\nmedia = true\nmedia_url = "http://p.example/m"\n',
        'url = "https://p.example/in"\nmedia = true\nmedia_url = "https://p.example/m?x"\n',
        'url = "https://p.example/a b"\n',
        'url = "https:///in"\n',
        'url = "p.example/in"\n',
        'url = "https://p.example/in"\nkey_file = "/x"\n',
        'url = "https://p.example/in"\nuser = "x"\n',
    ],
)
def test_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_plan(write(tmp_path, text))
    assert len(refused.value.problems) == 1


def test_the_daemon_does_not_start_without_its_secret(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path, 'url = "https://p.example/in"\ntoken_file = "/nowhere/token"\n'))
    with pytest.raises(ConfigError, match="token_file"):
        plan.refuse_missing_files()


def test_a_consumer_may_not_have_an_uplinks_name(tmp_path: Path) -> None:
    consumer = f'[[api.consumer]]\nname = "http-media"\ntoken_sha256 = "{"0" * 64}"\n'
    with pytest.raises(ConfigError, match="built-in uplink"):
        load_plan(write(tmp_path, f'url = "https://p.example/in"\n{consumer}'))


def test_the_positions_of_all_uplinks_are_listed() -> None:
    mqtt = MqttSettings(url="mqtts://b.example", required=True, streams=("alarm",))
    http = HttpSettings(url="https://p.example", media=True)
    assert UplinkSettings().consumers() == []
    assert UplinkSettings(mqtt=mqtt, http=http).consumers() == [
        ("mqtt", ("alarm",), True),
        ("http", http.streams, False),
        ("http-media", http.streams, False),
    ]


def test_notices_fit_their_schemas(fake_clock: FakeClock) -> None:
    import jsonschema

    draft = notices.refused(fake_clock, "http", "alarm", 403, "a sentence", HttpWords(), effect="held")
    assert (draft.data["code"], draft.data["meaning"]) == ("403", "Forbidden")
    jsonschema.validate(dict(draft.data), schema(draft.type)["properties"]["data"])
