"""Frees an ONNX model of the picture size that it was exported with, on the bytes of its file."""

from collections.abc import Iterator

# Field numbers of onnx.proto3, and the wire types of Protocol Buffers.
MODEL_GRAPH = 7
GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 5, 11, 12, 13
TENSOR_NAME = 8
VALUE_NAME, VALUE_TYPE = 1, 2
TYPE_TENSOR = 1
TENSOR_ELEMENT, TENSOR_SHAPE = 1, 2
SHAPE_DIM = 1
DIM_VALUE, DIM_PARAM = 1, 2
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
FLOAT = 1

Field = tuple[int, int, memoryview, memoryview]  # number, wire type, content, and all of it as it stood


def free_size(model: bytes, channels: int = 3) -> bytes:
    """Let a model's one input be a picture of any size, (1, ``channels``, height, width); ValueError if it is no model.

    What exporters noted about sizes inside goes, and so do weights that are listed as inputs: they are none.
    """
    out = []
    for number, wire, content, whole in _fields(memoryview(model)):
        out.append(_freed(content, channels) if (number, wire) == (MODEL_GRAPH, LENGTH) else bytes(whole))
    return b"".join(out)


def _freed(graph: memoryview, channels: int) -> bytes:
    fields = list(_fields(graph))
    weights = {_text(content, TENSOR_NAME) for number, _, content, _ in fields if number == GRAPH_INITIALIZER}
    dims = [_number(DIM_VALUE, 1), _number(DIM_VALUE, channels), _bytes(DIM_PARAM, b"h"), _bytes(DIM_PARAM, b"w")]
    picture = b"".join(_bytes(SHAPE_DIM, dim) for dim in dims)
    parts = []
    for number, _, content, whole in fields:
        if number == GRAPH_VALUE_INFO:
            continue
        if number == GRAPH_INPUT:
            name = _text(content, VALUE_NAME)
            if name not in weights:
                parts.append(_bytes(GRAPH_INPUT, _value(name, picture)))
        elif number == GRAPH_OUTPUT:
            parts.append(_bytes(GRAPH_OUTPUT, _value(_text(content, VALUE_NAME), None)))
        else:
            parts.append(bytes(whole))
    return _bytes(MODEL_GRAPH, b"".join(parts))


def _value(name: bytes, shape: bytes | None) -> bytes:
    tensor = _number(TENSOR_ELEMENT, FLOAT) + (_bytes(TENSOR_SHAPE, shape) if shape is not None else b"")
    return _bytes(VALUE_NAME, name) + _bytes(VALUE_TYPE, _bytes(TYPE_TENSOR, tensor))


def _text(message: memoryview, wanted: int) -> bytes:
    return next((bytes(content) for number, _, content, _ in _fields(message) if number == wanted), b"")


def _fields(message: memoryview) -> Iterator[Field]:
    """Every field of a message in order; ValueError when it is none."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        begin = at
        if wire == VARINT:
            _, at = _varint(message, at)
        elif wire == LENGTH:
            length, begin = _varint(message, at)
            at = begin + length
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError("no Protocol Buffers message")
        if at > len(message) or not number:
            raise ValueError("no Protocol Buffers message")
        yield number, wire, message[begin:at], message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("no Protocol Buffers message")


def _count(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(number: int, value: int) -> bytes:
    return _count(number << 3 | VARINT) + _count(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _count(number << 3 | LENGTH) + _count(len(content)) + content
