"""Linli, the edge gateway of a residential community."""

import os

# onnxruntime carries a telemetry client: it is told to be quiet before anything can import it, workers included.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
