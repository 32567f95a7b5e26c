"""Cameras: capture, motion, plates, passages; all that is heavy runs in worker processes."""

from gateway.vision.camera import Camera

__all__ = ["Camera"]
