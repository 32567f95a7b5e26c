"""The driver against answers that are wrong, late, cut, noisy or refused."""

import asyncio
import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import make
from gateway.contract import DeviceError, DeviceSilentError, DeviceSpec, LineKind, Point, PointValue
from tests.modbus_farm import Slave, rtu

RTU, TCP = LineKind.SERIAL, LineKind.TCP


class Wire:
    """A pipe to one slave: ``spoil`` turns (question, true answer) into the chunks that arrive; then silence."""

    def __init__(self, slave: Slave, kind: LineKind, unit: int = 1) -> None:
        self.slave, self.kind, self.unit = slave, kind, unit
        self.spoil = lambda _question, answer: [answer]
        self.chunks: list[bytes] = []
        self.questions: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.questions.append(data)
        if self.kind is RTU:
            pdu = self.slave.answer(data[1:6])
            answer = rtu(data[:1] + pdu) if pdu else b""
        else:
            pdu = self.slave.answer(data[7:])
            answer = data[:4] + struct.pack(">HB", len(pdu) + 1, data[6]) + pdu if pdu else b""
        self.chunks += [chunk for chunk in self.spoil(data, answer) if chunk]

    async def read(self, at_most: int = 4096) -> bytes:
        if not self.chunks:
            raise DeviceSilentError("silence")
        chunk, rest = self.chunks[0][:at_most], self.chunks[0][at_most:]
        self.chunks[:1] = [rest] if rest else []
        return chunk

    async def drain_input(self) -> bytes:
        stale, self.chunks = b"".join(self.chunks), []
        return stale


def device(kind: LineKind = RTU, points: dict[str, dict] | None = None, **options):
    made = {
        name: Point(name=name, **point)
        for name, point in (points or {"a": {"at": "holding:0"}, "b": {"at": "holding:1"}}).items()
    }
    return make(DeviceSpec("d", "modbus", 1, kind, made, options)), frozenset(made)


def slave() -> Slave:
    return Slave({at: 100 + at for at in range(64)})


async def read(wire: Wire, **more) -> dict[str, PointValue]:
    made, names = device(wire.kind, **more)
    return dict(await made.read(wire, names))


GOOD = {"a": PointValue(100), "b": PointValue(101)}


@pytest.mark.parametrize("kind", [RTU, TCP])
async def test_a_good_answer_in_any_pieces(kind):
    wire = Wire(slave(), kind)
    assert await read(wire) == GOOD
    wire.spoil = lambda _question, answer: [answer[at : at + 1] for at in range(len(answer))]
    assert await read(wire) == GOOD


@pytest.mark.parametrize("kind", [RTU, TCP])
@pytest.mark.parametrize("kept", range(1, 9))
async def test_half_a_frame_is_damaged(kind, kept):
    wire = Wire(slave(), kind)
    wire.spoil = lambda _question, answer: [answer[:kept]]
    with pytest.raises(DeviceError) as caught:
        await read(wire)
    assert (caught.value.reason, len(caught.value.frame)) == ("cut" if kind is RTU else "damaged", kept)


@pytest.mark.parametrize("kind", [RTU, TCP])
async def test_silence_is_silence(kind):
    wire = Wire(slave(), kind)
    wire.spoil = lambda _question, _answer: []
    with pytest.raises(DeviceSilentError):
        await read(wire)


@pytest.mark.parametrize("noise", ["00", "ff00", "01", "0103", "010304", "018302", "0183", "55" * 40])
async def test_noise_before_the_frame_is_passed_over(noise):
    wire = Wire(slave(), RTU)
    wire.spoil = lambda _question, answer: [bytes.fromhex(noise) + answer]
    assert await read(wire) == GOOD


async def test_an_echo_of_the_question_is_passed_over():
    wire = Wire(slave(), RTU)
    wire.spoil = lambda question, answer: [question[:3], question[3:] + answer]
    assert await read(wire) == GOOD
    wire.spoil = lambda question, _answer: [question]
    with pytest.raises(DeviceSilentError):
        await read(wire)


async def test_a_bad_crc_fails_at_once_with_its_bytes():
    wire = Wire(slave(), RTU)
    wire.spoil = lambda _question, answer: [answer[:-1] + bytes([answer[-1] ^ 1]), b"never read"]
    with pytest.raises(DeviceError, match="CRC") as caught:
        await read(wire)
    assert caught.value.reason == "crc"
    assert len(caught.value.frame) == 9
    assert wire.chunks == [b"never read"]


async def test_the_answer_of_another_unit_is_never_taken():
    wire = Wire(slave(), RTU)
    late = rtu(bytes.fromhex("02 03 04 0BAD 0BAD"))
    wire.spoil = lambda _question, answer: [late, answer]
    assert await read(wire) == GOOD
    wire.spoil = lambda _question, _answer: [late]
    with pytest.raises(DeviceError):
        await read(wire)


async def test_an_answer_of_another_length_is_never_taken():
    wire = Wire(slave(), RTU)
    wire.spoil = lambda _question, answer: [rtu(bytes.fromhex("01 03 02 0BAD")), answer]
    assert await read(wire) == GOOD


async def test_after_a_missed_answer_the_next_ones_do_not_slip():
    """The missed answer comes as the first of the next read, and the true one after it: in nobody's place."""

    class Slow(Wire):
        later: bytes = b""

        async def write(self, data: bytes) -> None:
            before, self.later = self.later, b""
            await super().write(data)
            self.chunks[:0] = [before] if before else []

        async def read(self, at_most: int = 4096) -> bytes:
            if not self.chunks and self.later:
                self.chunks, self.later = [self.later], b""
            return await super().read(at_most)

    wire = Slow(slave(), RTU)
    made, names = device(RTU, {"a": {"at": "holding:0"}, "b": {"at": "holding:40"}})
    missed = []

    def late(_question: bytes, answer: bytes) -> list[bytes]:
        missed.append(answer)
        if len(missed) == 1:
            return []
        if len(missed) == 2:
            wire.later = answer
            return [missed[0]]
        return [answer]

    wire.spoil = late
    with pytest.raises(DeviceSilentError):
        await made.read(wire, names)
    for _ in range(2):
        assert await made.read(wire, names) == {"a": PointValue(100), "b": PointValue(140)}


async def test_what_lies_on_the_line_before_the_question_is_never_taken():
    wire = Wire(slave(), RTU)
    wire.chunks = [rtu(bytes.fromhex("01 03 04 0BAD 0BAD"))]
    assert await read(wire) == GOOD


async def test_a_late_answer_to_an_earlier_transaction_is_never_taken():
    wire = Wire(slave(), TCP)

    def late(question: bytes, answer: bytes) -> list[bytes]:
        earlier = struct.pack(">H", struct.unpack(">H", question[:2])[0] - 1 & 0xFFFF)
        return [earlier + answer[2:9] + b"\x0b\xad\x0b\xad", answer]

    wire.spoil = late
    assert await read(wire) == GOOD
    wire.spoil = lambda question, answer: late(question, answer)[:1]
    with pytest.raises(DeviceSilentError):
        await read(wire)
    wire.spoil = lambda question, answer: [late(question, answer)[0][5:] + answer]  # the tail of one
    assert await read(wire) == GOOD


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _q, a: [a[:6] + b"\x07" + a[7:]], "unit 7 answered"),
        (lambda _q, a: [a[:4] + b"\0\x05" + a[6:9] + a[9:11]], "does not fit"),
        (lambda _q, a: [a[:7] + b"\x04" + a[8:]], "does not fit"),
    ],
)
async def test_wrong_answers_over_tcp(spoil, said):
    wire = Wire(slave(), TCP)
    wire.spoil = spoil
    with pytest.raises(DeviceError, match=said):
        await read(wire)


@pytest.mark.parametrize("kind", [RTU, TCP])
@pytest.mark.parametrize(
    ("code", "reason", "name"),
    [
        (1, "illegal_function", "illegal function"),
        (4, "device_failure", "server device failure"),
        (6, "busy", "server device busy"),
        (10, "gateway_path", "gateway path unavailable"),
        (11, "gateway_target", "gateway target device failed to respond"),
        (99, "exception_99", "not in the standard"),
    ],
)
async def test_exceptions_have_the_standards_name(kind, code, reason, name):
    wire = Wire(slave(), kind)
    wire.slave.exception = code
    with pytest.raises(DeviceError, match=name) as caught:
        await read(wire)
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", [RTU, TCP])
async def test_one_register_that_is_not_there_spoils_only_its_point(kind):
    points = {f"p{at}": {"at": f"holding:{at}"} for at in range(20)}
    wire = Wire(slave(), kind)
    del wire.slave.registers[7]
    made, names = device(kind, points)
    for _ in range(3):
        wire.slave.asked.clear()
        values = await made.read(wire, names)
        assert values["p7"] == PointValue(None, "bad", "illegal_address")
        assert {name for name, got in values.items() if got.quality == "good"} == names - {"p7"}
    assert len(wire.slave.asked) <= 6  # learned: the good ones stay joined
    assert all(count == 1 for _, start, count in wire.slave.asked if start <= 7 < start + count)


async def test_a_hole_between_two_points_is_learned():
    points = {"low": {"at": "holding:0"}, "high": {"at": "holding:5"}}
    wire = Wire(slave(), RTU)
    del wire.slave.registers[3]
    made, names = device(RTU, points)
    for asked in (3, 2, 2):
        wire.slave.asked.clear()
        values = await made.read(wire, names)
        assert values == {"low": PointValue(100), "high": PointValue(105)}
        assert len(wire.slave.asked) == asked


@pytest.mark.parametrize(("most", "wanted"), [(10, [10, 10, 10, 10]), (16, [16, 16, 8]), (39, [39, 1])])
async def test_the_longest_read_that_a_device_takes_is_learned_and_survives_a_restart(most, wanted):
    points = {f"p{at}": {"at": f"holding:{at}"} for at in range(40)}
    wire = Wire(slave(), RTU)
    wire.slave.most = most
    made, names = device(RTU, points)
    for _ in range(8):
        wire.slave.asked.clear()
        values = await made.read(wire, names)
        assert all(got.quality == "good" for got in values.values())
    assert [count for _, _, count in wire.slave.asked] == wanted
    assert made.learned() is made.learned()
    told = json.loads(json.dumps(made.learned()))
    again, _ = device(RTU, points)
    again.recall(told)
    wire.slave.asked.clear()
    assert await again.read(wire, names) == values
    assert [count for _, _, count in wire.slave.asked] == wanted
    assert again.learned() == told


async def test_a_hole_is_not_taken_for_a_limit_and_survives_a_restart():
    points = {f"p{at}": {"at": f"holding:{at}"} for at in (*range(5), *range(8, 30))}
    wire = Wire(slave(), RTU)
    del wire.slave.registers[6]
    made, names = device(RTU, points)
    for _ in range(4):
        wire.slave.asked.clear()
        await made.read(wire, names)
    assert wire.slave.asked == [(3, 0, 5), (3, 8, 22)]
    again, _ = device(RTU, points)
    again.recall(made.learned())
    wire.slave.asked.clear()
    await again.read(wire, names)
    assert wire.slave.asked == [(3, 0, 5), (3, 8, 22)]


@pytest.mark.parametrize(
    "known",
    [{}, {"cuts": 7, "taken": [], "refused": None}, {"cuts": [["X", 1], 3, ["COIL"], [["COIL"], 1]]},
     {"taken": {"registers": 9}, "refused": {"registers": 4}}, {"taken": {"bits": "a"}, "refused": {"bits": 3}}],
)  # fmt: skip
async def test_a_memory_that_makes_no_sense_is_passed_over(known):
    made, names = device(RTU)
    made.recall(known)
    assert await made.read(Wire(slave(), RTU), names) == GOOD


async def test_a_limit_that_was_lowered_since_wins_over_what_was_learned():
    wire = Wire(slave(), RTU)
    made, names = device(RTU, {f"p{at}": {"at": f"holding:{at}"} for at in range(20)}, max_read=4)
    made.recall({"taken": {"registers": 9}, "refused": {"registers": 16}})
    await made.read(wire, names)
    assert {count for _, _, count in wire.slave.asked} == {4}


async def test_limits_of_the_device_are_kept():
    points = {f"p{at}": {"at": f"holding:{at}"} for at in (0, 2, 9, 10)}
    wire = Wire(slave(), RTU)
    made, names = device(RTU, points, max_read=2, gap=1)
    await made.read(wire, names)
    assert wire.slave.asked == [(3, 0, 1), (3, 2, 1), (3, 9, 2)]


async def test_a_block_that_is_never_answered_is_asked_ever_more_seldom():
    points = {"mute": {"at": "holding:0"}, "good": {"at": "input:0"}}
    wire = Wire(slave(), RTU)
    wire.spoil = lambda question, answer: [] if question[1] == 3 else [answer]
    made, names = device(RTU, points)
    with pytest.raises(DeviceSilentError):
        await made.read(wire, names)  # nothing proves yet that it is there
    for _ in range(30):
        values = await made.read(wire, names)
        assert values == {"mute": PointValue(None, "bad", "timeout"), "good": PointValue(100)}
    assert sum(question[1] == 3 for question in wire.questions) < 8
    wire.spoil = lambda _question, answer: [answer]
    for _ in range(40):
        values = await made.read(wire, names)
    assert values["mute"] == PointValue(100)


async def test_decimals_and_ratio_come_from_other_points():
    points = {
        "d": {"at": "holding:3"},
        "ct": {"at": "holding:20"},
        "level": {"at": "holding:4", "decimals": "d"},
        "power": {"at": "holding:30", "ratio": "ct", "scale": 0.1},
    }
    wire = Wire(Slave({3: 2, 4: 182, 20: 40, 30: 15}), RTU)
    made, _ = device(RTU, points)
    assert await made.read(wire, frozenset({"level"})) == {"level": PointValue(1.82)}
    assert await made.read(wire, frozenset({"power", "ct"})) == {"power": PointValue(60.0), "ct": PointValue(40)}
    wire.slave.registers[3] = 77
    assert (await made.read(wire, frozenset({"level"})))["level"].reason == "decimals_unavailable"
    del wire.slave.registers[20]
    values = await made.read(wire, frozenset({"power", "ct"}))
    assert (values["power"].reason, values["ct"].reason) == ("ratio_unavailable", "illegal_address")


def run(coroutine):
    return asyncio.run(coroutine)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from([RTU, TCP]))
def test_any_bytes_make_a_device_error_or_nothing(chunks, kind):
    wire = Wire(slave(), kind)
    wire.spoil = lambda _question, _answer: list(chunks)
    with pytest.raises(DeviceError):
        run(read(wire))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_rtu_frame_never_yields_a_value(data):
    """One burst of up to 16 bits is what CRC-16 promises to find."""
    wire = Wire(slave(), RTU)
    burst = data.draw(st.integers(1, 0xFFFF))
    shift = data.draw(st.integers(0, 9 * 8 - burst.bit_length()))
    wire.spoil = lambda _question, answer: [(int.from_bytes(answer) ^ burst << shift).to_bytes(len(answer))]
    with pytest.raises(DeviceError):
        run(read(wire))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=30), st.sampled_from([RTU, TCP]))
def test_noise_around_a_frame_never_changes_a_value(before, after, kind):
    wire = Wire(slave(), kind)
    wire.spoil = lambda _question, answer: [before, answer + after]
    with suppress(DeviceError):  # noise may hide the answer, never alter it
        assert run(read(wire)) == GOOD


def test_only_reading_functions_are_ever_sent():
    wire = Wire(Slave(dict.fromkeys(range(9), 1), dict.fromkeys(range(9), True)), RTU)
    points = {
        f"{table}{at}": {"at": f"{table}:{at}", "type": "bool", "write": table in ("holding", "coil")}
        for table in ("holding", "input", "coil", "discrete")
        for at in range(9)
    }
    run(read(wire, points=points))
    assert sorted({question[1] for question in wire.questions}) == [1, 2, 3, 4]
