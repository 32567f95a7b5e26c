"""A farm of Modbus TCP slaves on raw asyncio, in a process of its own: 20 registers each, cheap to serve.

Started as `farm.py PORTS UNITS [SILENT]`: PORTS listeners, UNITS slaves behind each; unit ids up to SILENT never
answer. Prints its ports as JSON, then one JSON line with the answers served for every line read from stdin.
"""

import asyncio
import json
import struct
import sys

import uvloop

REGISTERS = 20
HEAD = struct.Struct("!HHHBBHH")


class Slave(asyncio.Protocol):
    """One connection. Registers 0 and 1 count the answers of a unit, so that a lost or doubled reading shows."""

    served: dict[tuple[int, int], int]

    def __init__(self, farm: "Farm", port: int) -> None:
        self._farm, self._port, self._buffer = farm, port, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 12:
            transaction, _, length, unit, function, address, count = HEAD.unpack_from(self._buffer)
            self._buffer = self._buffer[6 + length :]
            if unit <= self._farm.silent:
                continue
            if function not in (3, 4) or address + count > REGISTERS:
                answer = struct.pack("!HHHBBB", transaction, 0, 3, unit, function | 0x80, 2)
            else:
                key = (self._port, unit)
                number = self._farm.served.get(key, 0) + 1
                self._farm.served[key] = number
                values = struct.pack("!HH", number >> 16 & 0xFFFF, number & 0xFFFF) + self._farm.rest
                head = struct.pack("!HHHBBB", transaction, 0, 3 + 2 * count, unit, function, 2 * count)
                answer = head + values[2 * address : 2 * (address + count)]
            self._transport.write(answer)


class Farm:
    """All slaves and what they served."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.served: dict[tuple[int, int], int] = {}
        self.rest = struct.pack(f"!{REGISTERS - 2}H", *range(200, 200 + REGISTERS - 2))

    async def run(self, ports: int) -> None:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(lambda index=index: Slave(self, index), "127.0.0.1", 0) for index in range(ports)
        ]
        print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            units: dict[str, int] = {f"{port}/{unit}": number for (port, unit), number in self.served.items()}
            print(json.dumps({"served": sum(units.values()), "units": units}), flush=True)


if __name__ == "__main__":
    uvloop.run(Farm(int(sys.argv[2]) if len(sys.argv) > 2 else 0).run(int(sys.argv[1])))
