"""Whatever a master sends: a simulated device answers or keeps silent, and never breaks."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.simulate.modbus import whole_mbap
from tests.simulate.bench import Face, pair, read, spec_of

PROFILES = ["qdy30a", "dlt645-2007-single-phase", "dlt645-1997-single-phase", "cjt188-water", "mbus-heat-meter",
            "vaisala-wxt520"]  # fmt: skip
MODBUS = [("qdy30a", "ascii"), ("dry-contact-8", "tcp"), ("qdy30a", "rtu")]


@cache
def slave_of(profile: str, framing: str | None):
    return pair(spec_of(profile, **({"framing": framing} if framing else {})))


async def questions(profile: str, framing: str | None) -> list[bytes]:
    driver, slave = slave_of(profile, framing)
    face = Face(slave)
    await read(driver, face, spec_of(profile).points)
    return face.questions


@pytest.mark.parametrize(("profile", "framing"), [*((profile, None) for profile in PROFILES), *MODBUS])
@settings(max_examples=30, deadline=None)
@given(noise=st.binary(max_size=40), at=st.integers(0, 60), flip=st.integers(0, 255), cut=st.integers(0, 60),
       which=st.integers(0, 9))  # fmt: skip
async def test_no_question_breaks_it(profile, framing, noise, at, flip, cut, which):
    asked = await questions(profile, framing)
    _, slave = slave_of(profile, framing)
    sound = bytearray(asked[which % len(asked)])
    sound[at % len(sound)] ^= flip
    now = slave.values.at(1.0)
    for question in (noise, bytes(sound), noise + bytes(sound), bytes(sound)[: cut % len(sound)], bytes(sound) + noise):
        slave.hear(question, now)
        assert 0 <= whole_mbap(question) <= len(question)


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=40), control=st.sampled_from([0x01, 0x03, 0x11, 0x12, 0x13, 0x14, 0x1C]))
def test_sound_frames_with_any_content(body, control):
    for profile, address in (("dlt645-2007-single-phase", b"\xaa" * 6), ("dlt645-1997-single-phase", b"\xaa" * 6)):
        _, slave = slave_of(profile, None)
        frame = b"\x68" + address + b"\x68" + bytes((control, len(body))) + body
        answer = slave.hear(frame + bytes((sum(frame) % 256, 0x16)), slave.values.at(1.0))
        if control in (0x14, 0x1C):
            assert not answer or answer.lstrip(b"\xfe")[8] & 0x40, "nothing that writes or cuts is done"
    _, slave = slave_of("cjt188-water", None)
    frame = b"\x68\xaa" + b"\xaa" * 7 + bytes((control, len(body))) + body
    slave.hear(frame + bytes((sum(frame) % 256, 0x16)), slave.values.at(1.0))
