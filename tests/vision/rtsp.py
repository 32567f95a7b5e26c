"""A small RTSP server of our own (RFC 7826 in part, RFC 6184 for H.264), with the faults that real cameras have."""

import base64
import contextlib
import itertools
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av

PIECE = 1200  # bytes of one RTP packet
MIX = random.Random(9)


def pictures(path: Path) -> list[list[bytes]]:
    """The NAL units of each picture of an H.264 clip, parameter sets before every key frame."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        filtered = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            found += [_units(bytes(one)) for one in filtered.filter(packet) if one.size]
    return found


def _units(data: bytes) -> list[bytes]:
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit]


class RtspServer:
    """Serves pictures at ``rate`` a second again and again to one caller after the other.

    ``fault`` is asked before each picture: ``send``, ``drop``, ``spoil`` (flip bytes), ``stall`` (send no more),
    ``hang up``; ``stamp`` gives its RTP time stamp (90 kHz).
    """

    def __init__(
        self,
        shown: Sequence[list[bytes]],
        rate: float = 25.0,
        *,
        fault: Callable[[int], str] = lambda _: "send",
        stamp: Callable[[int], int] | None = None,
        login: str = "",
    ) -> None:
        self._shown, self._rate, self._fault = shown, rate, fault
        self._stamp = stamp or (lambda index: round(index * 90_000 / rate))
        self._login = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.calls = 0
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "RtspServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream1"

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.calls += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        send: Callable[[bytes], object] | None = None
        try:
            while head := file.readline():
                if head[:1] == b"$":
                    continue  # reports of the receiver
                method = head.split()[0].decode(errors="replace")
                lines = list(iter(lambda: file.readline().strip().decode(errors="replace"), ""))
                fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
                if self._login and fields.get("authorization") != self._login:
                    self._answer(connection, fields, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n')
                    continue
                more, body = "Session: 7\r\n", ""
                if method == "DESCRIBE":
                    body = self._description()
                    more += f"Content-Base: {self.url}/\r\nContent-Type: application/sdp\r\n"
                elif method == "SETUP":
                    send, transport = self._way(connection, fields["transport"])
                    more += f"Transport: {transport}\r\n"
                elif method == "OPTIONS":
                    more += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
                self._answer(connection, fields, "200 OK", more, body)
                if method == "PLAY" and send is not None:
                    threading.Thread(target=self._play, args=(connection, send), daemon=True).start()
        except (OSError, ValueError):
            return

    @staticmethod
    def _answer(connection: socket.socket, fields: dict[str, str], status: str, more: str, body: str = "") -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {fields.get('cseq')}\r\n{more}{length}\r\n{body}".encode())

    def _description(self) -> str:
        sets = [unit for unit in self._shown[0] if unit[0] & 31 in (7, 8)]
        sprop = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\na=control:track1\r\n"
        )

    @staticmethod
    def _way(connection: socket.socket, asked: str) -> tuple[Callable[[bytes], object], str]:
        if "TCP" in asked:

            def interleaved(packet: bytes) -> None:
                connection.sendall(b"$\x00" + len(packet).to_bytes(2, "big") + packet)

            return interleaved, "RTP/AVP/TCP;unicast;interleaved=0-1"
        match = re.search(r"client_port=(\d+)", asked)
        if match is None:
            raise ValueError(asked)
        to = ("127.0.0.1", int(match[1]))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        port = datagrams.getsockname()[1]
        return (
            lambda packet: datagrams.sendto(packet, to),
            f"RTP/AVP;unicast;client_port={match[1]}-{int(match[1]) + 1};server_port={port}-{port + 1}",
        )

    def _play(self, connection: socket.socket, send: Callable[[bytes], object]) -> None:
        number = itertools.count()
        began = time.monotonic()
        try:
            for index in itertools.count():
                what = self._fault(index)
                if what == "stall":
                    return
                if what == "hang up":
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                if what != "drop":
                    for packet in _packets(self._shown[index % len(self._shown)], what == "spoil"):
                        head = bytes([0x80, 96 | packet[0]]) + (next(number) & 0xFFFF).to_bytes(2, "big")
                        send(head + (self._stamp(index) & 0xFFFFFFFF).to_bytes(4, "big") + b"LINL" + packet[1:])
                if self._over.wait(max(0.0, began + (index + 1) / self._rate - time.monotonic())):
                    return
        except OSError:
            return


def _packets(units: Sequence[bytes], spoil: bool) -> list[bytes]:
    """RTP payloads of a picture, the mark of its last one in front (0x80 or 0)."""
    found: list[bytes] = []
    for unit in units:
        if len(unit) <= PIECE:
            found.append(unit)
            continue
        head, rest = unit[0], unit[1:]
        pieces = [rest[start : start + PIECE] for start in range(0, len(rest), PIECE)]
        for place, piece in enumerate(pieces):
            flags = (0x80 if place == 0 else 0) | (0x40 if place == len(pieces) - 1 else 0)
            found.append(bytes([(head & 0xE0) | 28, flags | (head & 31)]) + piece)
    if spoil:
        found = [bytes(byte ^ (MIX.random() < 0.02) * 0x55 for byte in payload) for payload in found]
    return [bytes([0x80 if place == len(found) - 1 else 0]) + payload for place, payload in enumerate(found)]
