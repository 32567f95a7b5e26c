"""Every Prometheus metric of the gateway, in one registry; names are part of the interface."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()


class Total:
    """One number that only grows; always counted by the same thread, so that it needs no lock."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add."""
        self.value += amount


class Totals(Collector):
    """As a prometheus Counter with labels, for what is counted at every poll: at a tenth of its price."""

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._totals: dict[tuple[str, ...], Total] = {}
        REGISTRY.register(self)

    def labels(self, *values: str, **named: str) -> Total:
        """Return the one of these labels, in their order or by their names."""
        return self._totals.setdefault(values or tuple(named[label] for label in self._labels), Total())

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Look (prometheus_client calls this)."""
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for values, total in list(self._totals.items()):
            family.add_metric(values, total.value)
        yield family


READINGS = Totals("linli_readings", "Values read from devices, good or bad", []).labels()
POLLS = Totals("linli_polls", "Polls by device and outcome", ["device", "outcome"])
RECORDS = Counter("linli_records", "Records committed", ["stream"], registry=REGISTRY)
DELIVERED = Counter("linli_delivered", "Records confirmed by an uplink", ["uplink", "stream"], registry=REGISTRY)
REFUSED = Counter("linli_refused", "Publishes refused", ["uplink", "stream", "code"], registry=REGISTRY)
UNHEARD = Counter("linli_unheard", "Publishes nobody subscribed to (0x10)", ["uplink", "stream"], registry=REGISTRY)
ACK_REFUSED = Counter(
    "linli_ack_refused", "Acknowledgements of the platform that were refused", ["uplink", "cause"], registry=REGISTRY
)
DROPPED = Totals("linli_dropped", "What was given up, and why", ["where", "cause"])
BACKLOG = Gauge("linli_backlog_records", "Records not yet confirmed", ["consumer", "stream"], registry=REGISTRY)
DEVICE_UP = Gauge("linli_device_up", "1 while a device answers", ["device"], registry=REGISTRY)
LINE_BUSY = Gauge("linli_line_busy_ratio", "Share of time a line carries transactions", ["line"], registry=REGISTRY)
LINE_BYTES = Totals("linli_line_bytes", "Bytes by line and direction (in, out)", ["line", "direction"])
LINE_ERRORS = Totals("linli_line_errors", "Transactions that brought no good answer", ["line"])
LINE_TRANSACTIONS = Totals("linli_line_transactions", "Transactions of a line", ["line"])
LINE_SECONDS = Totals("linli_line_transaction_seconds", "Time that the transactions of a line took", ["line"])
DEVICE_ERRORS = Totals("linli_device_errors", "Transactions of a device that failed, by kind", ["device", "kind"])
CAMERA_FRAMES = Counter(
    "linli_camera_frames", "Frames by camera: offered, looked, dropped", ["camera", "what"], registry=REGISTRY
)
COMMIT_SECONDS = Gauge("linli_commit_seconds", "Duration of the last commit", registry=REGISTRY)
STORE_BYTES = Gauge("linli_store_bytes", "Bytes of the store by part", ["part"], registry=REGISTRY)
ALARMS_ACTIVE = Gauge("linli_alarms_active", "Alarms raised and not cleared", ["severity"], registry=REGISTRY)
UPLINK_UP = Gauge("linli_uplink_up", "1 while an uplink is connected", ["uplink"], registry=REGISTRY)
