"""Serves files over RTSP with GStreamer (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0, plugins good and bad).

Run with the system's Python, which has GStreamer's bindings: serve.py PORT [--digest] NAME=FILE[,drop]...
`--digest` asks everybody for the login linli:secret, `drop` loses one RTP packet of fifty.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

LOST = 0.02


def pipeline(file: str, lossy: bool) -> str:
    """How a file becomes RTP; by its ending: .h265, .mp4 with H.265 in its name, else H.264."""
    codec = "h265" if "h265" in file else "h264"
    demux = "! qtdemux " if file.endswith(".mp4") else ""
    pay = f"rtp{codec}pay pt=96 config-interval=-1"
    last = f"{pay} ! identity drop-probability={LOST} name=pay0" if lossy else f"{pay} name=pay0"
    return f"( filesrc location={file} {demux}! {codec}parse ! {last} )"


def main() -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    words = sys.argv[2:]
    guarded = "--digest" in words
    if guarded:
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        allowed = GstRtspServer.RTSPToken()
        allowed.set_string("media.factory.role", "user")
        auth.add_digest("linli", "secret", allowed)
        server.set_auth(auth)
    mounts = server.get_mount_points()
    for mount in words[guarded:]:
        name, _, rest = mount.partition("=")
        file, *faults = rest.split(",")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline(file, "drop" in faults))
        if guarded:
            rights = "user, media.factory.access=true, media.factory.construct=true"
            factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])
        mounts.add_factory(f"/{name}", factory)
    server.attach(None)
    print("serving", flush=True)
    GLib.MainLoop().run()


main()
