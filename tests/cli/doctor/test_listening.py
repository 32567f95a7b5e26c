"""What listens: made tables of /proc/net, and this very process."""

import os
import socket
from pathlib import Path

from gateway.cli.doctor.machine import Machine, Peer
from gateway.cli.doctor.processes import listeners, sockets_of
from gateway.cli.doctor.topics.listening import open_ports
from tests.cli.doctor.made import look_at, made, only, planned

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, inode: int, state: str = "0A", uid: int = 990) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1 0\n"


def machine(folder: Path, rows: str, rows6: str = "", listen: str = "127.0.0.1:8470", **fields: object) -> Machine:
    line = '[[line]]\nname = "stations"\nlisten = "0.0.0.0:5200"\nallow = ["10.0.0.0/8"]\n'
    text = f'[gateway]\nid = "made-gate"\nstate = "{folder}"\n[api]\nlisten = "{listen}"\n{line}'
    files = {"/proc/net/tcp": HEAD + rows, "/proc/net/tcp6": HEAD + rows6}
    return made(folder, files, plan=planned(folder, text).plan, **fields)


def own(one: Machine, *inodes: int) -> Machine:
    for number, inode in enumerate(inodes):
        path = one.root / f"proc/7/fd/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(f"socket:[{inode}]")
    return one


def test_addresses_as_the_kernel_writes_them(tmp_path: Path) -> None:
    rows6 = (row("00000000000000000000000001000000:1F90", 3) + row("00000000000000000000000000000000:0050", 4)
             + row("0000000000000000FFFF00000100007F:0050", 5))  # fmt: skip
    found = listeners(machine(tmp_path, row("0100007F:2116", 1) + row("0100007F:2117", 2, "01"), rows6))
    assert [(each.place, each.is_local) for each in found] == [
        ("127.0.0.1:8470", True), ("[::1]:8080", True), ("[::]:80", False), ("127.0.0.1:80", True)
    ]  # fmt: skip


def test_nothing_beyond_loopback(tmp_path: Path) -> None:
    rows = row("0100007F:2116", 1) + row("00000000:0016", 9, uid=0)
    found = only(look_at(own(machine(tmp_path, rows, running=True, peer=Peer(7, 990)), 1), open_ports))
    assert (found.verdict, "127.0.0.1:8470 only" in found.what) == ("ok", True)


def test_what_is_open_as_configured_and_what_is_not(tmp_path: Path) -> None:
    rows = row("00000000:1450", 1) + row("00000000:1F91", 2)
    found = look_at(own(machine(tmp_path, rows, running=True, peer=Peer(7, 990)), 1, 2), open_ports)
    assert [(each.verdict, each.where) for each in found] == [("ok", "line stations"), ("look", "")]
    assert "0.0.0.0:8081" in found[1].what


def test_by_its_user_where_its_files_are_not_shown(tmp_path: Path) -> None:
    rows = row("00000000:1450", 1) + row("00000000:0016", 2, uid=0)
    one = machine(tmp_path, rows, running=True, peer=Peer(7, 990))
    assert only(look_at(one, open_ports)).verdict == "unseen"
    (one.root / "etc").mkdir()
    (one.root / "etc/passwd").write_text("linli:x:990:990::/:/bin/false\n")
    (one.root / "proc/7").mkdir(parents=True)
    (one.root / "proc/7/status").write_text("Gid:\t990\n")
    assert only(look_at(one, open_ports)).where == "line stations"


def test_a_port_that_somebody_else_took(tmp_path: Path) -> None:
    found = only(look_at(machine(tmp_path, row("00000000:2116", 1)), open_ports))
    assert (found.verdict, found.where, "8470" in found.what) == ("wrong", "[api] listen", True)


def test_a_real_listener_of_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode, port = os.fstat(server.fileno()).st_ino, server.getsockname()[1]
        mine = sockets_of(Machine(), os.getpid())
        assert mine is not None
        assert inode in mine
        assert (port, inode) in {(each.port, each.inode) for each in listeners(Machine())}
