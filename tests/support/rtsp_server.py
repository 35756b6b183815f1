"""An RTSP server with a tone, a password and nothing else; run by the system's Python, which has GStreamer."""

from __future__ import annotations

import sys


def main() -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    if sys.argv[1] == "--check":
        sys.exit(0 if Gst.ElementFactory.find("rtpL16pay") else 1)
    port, user, password, rate_hz, transport = sys.argv[1:]
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_shared(True)
    if transport == "udp":
        # As cameras that know nothing else: a client that asks for TCP is refused.
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    caps = f"audio/x-raw,rate={rate_hz},channels=1"
    factory.set_launch(f"( audiotestsrc is-live=true freq=3000 ! {caps} ! audioconvert ! rtpL16pay name=pay0 pt=96 )")
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken.new()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "reader")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions.new()
    permissions.add_permission_for_role("reader", "media.factory.access", True)
    permissions.add_permission_for_role("reader", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/mic", factory)
    server.attach(None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
