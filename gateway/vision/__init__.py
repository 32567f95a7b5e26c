"""Cameras: capture, motion, plates, passages; all that is heavy runs in worker processes.

Nothing is imported here: a worker would load the gateway's side of a camera too, 8 MB and most of its start.
"""
