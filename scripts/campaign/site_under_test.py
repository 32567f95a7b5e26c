"""A site to torment: a Modbus TCP server whose values wander, and the configuration that polls it fast."""

import asyncio
import hashlib
import random
import socket
import struct
import threading
from pathlib import Path

TOKEN = "a-token-that-only-campaigns-know"
REGISTERS = 8
HEAD = struct.Struct("!HHHBBHH")


class Slave(asyncio.Protocol):
    """One connection; every unit answers, register 0 is a random walk between 0 and 200, the others count."""

    level = 100
    answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer whole requests for holding registers."""
        self._buffer += data
        while len(self._buffer) >= 12:
            transaction, _, length, unit, function, address, count = HEAD.unpack_from(self._buffer)
            self._buffer = self._buffer[6 + length :]
            Slave.answers += 1
            Slave.level = min(200, max(0, Slave.level + random.randint(-25, 25)))
            words = [Slave.level, *((Slave.answers + n) & 0xFFFF for n in range(1, REGISTERS))]
            content = struct.pack(f"!{count}H", *words[address : address + count])
            self._transport.write(
                struct.pack("!HHHBBB", transaction, 0, 3 + 2 * count, unit, function, 2 * count) + content
            )


def serve() -> int:
    """Run the server in a thread of its own for as long as the program; returns its port."""
    ready = threading.Event()
    ports: list[int] = []

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Slave, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    ready.wait()
    return ports[0]


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(folder: Path, api: int, modbus: int, devices: int = 4, quota: str = "64MiB") -> Path:
    """Write ``linli.toml``: devices polled every 20 ms, an alarm that comes and goes, one required consumer."""
    text = f"""
[gateway]
id = "campaign"
site = "Campaign Lane 1"
state = "{folder / "state"}"
[store]
commit = "50ms"
records = "{quota}"
[api]
listen = "127.0.0.1:{api}"
[[api.consumer]]
name = "platform"
token_sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
required = true
[[line]]
name = "plant"
tcp = "127.0.0.1:{modbus}"
"""
    for number in range(devices):
        text += f"""
[[device]]
name = "meter-{number}"
driver = "modbus"
line = "plant"
address = {number + 1}
every = "20ms"
[device.points.level]
at = "holding:0"
type = "uint16"
unit = "cm"
[device.points.count]
at = "holding:1"
type = "uint16"
"""
    text += """
[[alarm]]
name = "level-high"
when = "meter-0.level > 150"
clear = "meter-0.level < 50"
severity = "major"
text = { en = "the level is high" }
"""
    path = folder / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path
