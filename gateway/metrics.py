"""Every Prometheus metric of the gateway, in one registry; names are part of the interface."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

REGISTRY = CollectorRegistry()

READINGS = Counter("linli_readings", "Values read from devices, good or bad", registry=REGISTRY)
POLLS = Counter("linli_polls", "Polls by device and outcome", ["device", "outcome"], registry=REGISTRY)
RECORDS = Counter("linli_records", "Records committed", ["stream"], registry=REGISTRY)
DELIVERED = Counter("linli_delivered", "Records confirmed by an uplink", ["uplink", "stream"], registry=REGISTRY)
REFUSED = Counter("linli_refused", "Publishes refused", ["uplink", "stream", "code"], registry=REGISTRY)
UNHEARD = Counter("linli_unheard", "Publishes nobody subscribed to (0x10)", ["uplink", "stream"], registry=REGISTRY)
ACK_REFUSED = Counter(
    "linli_ack_refused", "Acknowledgements of the platform that were refused", ["uplink", "cause"], registry=REGISTRY
)
DROPPED = Counter("linli_dropped", "What was given up, and why", ["where", "cause"], registry=REGISTRY)
BACKLOG = Gauge("linli_backlog_records", "Records not yet confirmed", ["consumer", "stream"], registry=REGISTRY)
DEVICE_UP = Gauge("linli_device_up", "1 while a device answers", ["device"], registry=REGISTRY)
LINE_BUSY = Gauge("linli_line_busy_ratio", "Share of time a line carries transactions", ["line"], registry=REGISTRY)
LINE_BYTES = Counter(
    "linli_line_bytes", "Bytes by line and direction (in, out)", ["line", "direction"], registry=REGISTRY
)
LINE_ERRORS = Counter("linli_line_errors", "Transactions that brought no good answer", ["line"], registry=REGISTRY)
LINE_TRANSACTIONS = Summary(
    "linli_line_transaction_seconds", "Transactions of a line: how many, and their time together", ["line"],
    registry=REGISTRY,
)  # fmt: skip
DEVICE_ERRORS = Counter(
    "linli_device_errors", "Transactions of a device that failed, by kind", ["device", "kind"], registry=REGISTRY
)
CAMERA_FRAMES = Counter(
    "linli_camera_frames", "Frames by camera: offered, looked, dropped", ["camera", "what"], registry=REGISTRY
)
COMMIT_SECONDS = Gauge("linli_commit_seconds", "Duration of the last commit", registry=REGISTRY)
STORE_BYTES = Gauge("linli_store_bytes", "Bytes of the store by part", ["part"], registry=REGISTRY)
ALARMS_ACTIVE = Gauge("linli_alarms_active", "Alarms raised and not cleared", ["severity"], registry=REGISTRY)
UPLINK_UP = Gauge("linli_uplink_up", "1 while an uplink is connected", ["uplink"], registry=REGISTRY)
