"""scripts/fuzz_decoders, short; and that it notices what it is there for."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.contract import DeviceError, DeviceSilentError, PointValue

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "fuzz_decoders_parts"))

from attack import Attack
from targets import Target, all_targets, crc16, sound_rtu

import drivers

pytest.importorskip("meterbus")  # the profiles of M-Bus meters need it
TARGETS = all_targets()
INPUTS = 40


def test_every_driver_is_attacked():
    assert {target.driver for target in TARGETS} == set(drivers.names())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_device_errors_and_no_wrong_value(target: Target):
    count = Attack(target, seed=7, number=0).run(INPUTS)
    assert count.failures == []
    assert count.inputs == INPUTS


def test_the_same_seed_makes_the_same_inputs():
    target = next(target for target in TARGETS if target.name == "modbus rtu")
    one, other = (Attack(target, seed=3, number=1).run(200) for _ in range(2))
    assert (one.refused, one.good) == (other.refused, other.good)
    assert one.refused > 20
    assert one.good > 20


class Careless:
    """A driver that believes the first four bytes of anything."""

    async def read(self, pipe, _points):
        await pipe.write(b"?")
        data = await pipe.read()
        if len(data) < 6:
            raise DeviceError("too short")
        return {"p": PointValue(int.from_bytes(data[:4]))}


class Fragile:
    async def read(self, pipe, _points):
        await pipe.write(b"?")
        data = b""
        try:
            while True:
                data += await pipe.read()
        except DeviceSilentError:
            return {"p": PointValue(data[5])}


TRUE = b"\x01\x02\x03\x04" + crc16(b"\x01\x02\x03\x04")


@pytest.mark.parametrize(("made", "said"), [(Careless, "true is"), (Fragile, "IndexError")])
def test_a_careless_and_a_fragile_driver_are_found_out(made, said):
    target = Target("bad", "bad", made, frozenset("p"), lambda _question: TRUE, sound=sound_rtu)
    assert said in " ".join(Attack(target, seed=1, number=0).run(300).failures)
    blind = Attack(replace(target, sound=None), seed=1, number=0).run(300)
    assert all("true is" not in failure for failure in blind.failures)
