"""Published frames, sound and spoilt, through the finders of frames."""

import json
from pathlib import Path

import pytest

from drivers import cjt188, dlt645
from drivers._meters import Frames
from drivers.cjt188 import frame as cjt
from drivers.dlt645 import frame as dlt

MEASURES = {"dlt645_2007": dlt.measure, "dlt645_1997": dlt.measure, "cjt188": cjt.measure}
DECODERS = {"dlt645_2007": dlt645.decode, "dlt645_1997": dlt645.decode, "cjt188": cjt188.decode}


@pytest.mark.parametrize("protocol", MEASURES)
def test_every_frame_is_found_and_taken_apart(shared: Path, protocol: str):
    vectors = json.loads((shared / "standards/vectors.json").read_text("utf-8"))[protocol]
    assert len(vectors) >= 4
    for vector in vectors:
        raw = bytes.fromhex(vector["frame_hex"])
        found = Frames(MEASURES[protocol]).feed(raw)
        if vector["origin"].endswith("_bad"):
            assert found == [], vector["meaning"]
            continue
        assert found == [raw.lstrip(b"\xfe")], vector["meaning"]
        said = DECODERS[protocol](found[0])
        if "control" in vector:
            assert said["control"] == int(vector["control"], 16)
        if "addr" in vector:
            assert said["address"] == vector["addr"].upper()
        if "data_minus33" in vector:
            assert said["data"] == vector["data_minus33"].lower()
        if "meter_type" in vector:
            assert said["type"] == int(vector["meter_type"], 16)


@pytest.mark.parametrize("module", [dlt645, cjt188])
def test_one_wrong_byte_is_no_frame(module):
    measure = dlt.measure if module is dlt645 else cjt.measure
    for raw, _ in module.VECTORS:
        for at in range(len(raw)):
            for wrong in {0x00, 0x16, 0x68, 0xFF, raw[at] ^ 1} - {raw[at]}:
                spoilt = raw[:at] + bytes([wrong]) + raw[at + 1 :]
                assert Frames(measure).feed(spoilt) == [], spoilt.hex(" ")


@pytest.mark.parametrize("cut", range(1, 20))
def test_frames_come_in_pieces_and_in_pairs_and_behind_noise(cut: int):
    raw = dlt645.VECTORS[1][0]
    frames = Frames(dlt.measure)
    assert frames.feed(raw[:cut]) == []
    assert frames.feed(raw[cut:] + raw) == [raw, raw]
    noisy = Frames(dlt.measure)
    noise = b"\x68" * cut + bytes(range(cut))
    assert noisy.feed(noise + raw) == [raw]
    assert noisy.noise() == noise


def test_noise_does_not_grow():
    frames = Frames(dlt.measure)
    for _ in range(2000):
        frames.feed(b"\x68\x00\x55" * 40)
    assert len(frames._noise) + len(frames._open) < 2000
