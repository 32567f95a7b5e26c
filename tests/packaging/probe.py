"""Says from inside the sandbox of linli.service what can be touched there; started by tests/packaging/inside."""

import contextlib
import ctypes
import errno
import importlib.util
import mmap
import os
import pty
import socket
import sys
from pathlib import Path

broken = 0


def say(good: bool, what: str) -> None:
    global broken
    broken += not good
    print(f"  {'held' if good else 'BROKE':<7} {what}", flush=True)  # noqa: T201 - the report of a program


def refused(path: str, mode: str = "w") -> bool:
    try:
        Path(path).open(mode).close()
    except OSError:
        return True
    return False


def adjtimex() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.adjtimex(ctypes.byref(ctypes.create_string_buffer(256)))
    return -ctypes.get_errno() if answer == -1 else answer


def set_time() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.settimeofday(ctypes.byref((ctypes.c_long * 2)(0, 0)), None)
    return ctypes.get_errno()


def family(number: int, kind: int) -> bool:
    with contextlib.suppress(OSError):
        socket.socket(number, kind).close()
        return True
    return False


def writable_code() -> bool:
    try:
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


def video() -> None:
    """Encode, decode and scale in the sandbox; the models run in the trial's camera."""
    from gateway.cli.demo.clip import write_gate_clip

    clip = Path("/tmp/probe.mp4")
    write_gate_clip(clip, seconds=1.0)
    import av
    import cv2
    import onnxruntime

    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0))
        picture = frame.to_ndarray(format="bgr24")
    say(picture.shape == (720, 1280, 3), "video is encoded, decoded and scaled")
    say(bool(cv2.imencode(".jpg", picture)[0]), "pictures are written as JPEG")
    say("CPUExecutionProvider" in onnxruntime.get_available_providers(), "onnxruntime loads")


say(os.getuid() != 0, "not root")
say(refused("/etc/linli/linli.toml"), "its own configuration is read-only")
say(refused("/opt/linli/x") and refused("/usr/x") and refused("/x"), "the system is read-only")
say(not refused("/var/lib/linli/probe"), "its state can be written")
Path("/var/lib/linli/probe").unlink()
say(not any(Path("/home").iterdir()) if os.access("/home", os.R_OK) else True, "homes are out of sight")
say(refused("/proc/sys/kernel/hostname"), "kernel settings are out of reach")
say(adjtimex() >= 0, f"the kernel tells whether the clock is synchronised (adjtimex: {adjtimex()})")
say(set_time() == errno.EPERM, "the clock cannot be set")
say(family(socket.AF_INET, socket.SOCK_STREAM) and family(socket.AF_INET6, socket.SOCK_DGRAM), "IP sockets")
say(not family(socket.AF_PACKET, socket.SOCK_RAW) and not family(socket.AF_INET, socket.SOCK_RAW), "no raw sockets")
say(bool(socket.getaddrinfo("localhost", 502)), "names are resolved")
wire, terminal = pty.openpty()
say(os.isatty(terminal), "terminals (serial ports) can be opened")
say(not writable_code(), "no memory that is writable and executable")
status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
say(int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1", "no capability, and none to gain")
if importlib.util.find_spec("av"):
    video()
sys.exit(broken)
