"""The topics a gateway speaks and listens on, and what stands there."""

BATCH_TYPE = "application/cloudevents-batch+json"  # CloudEvents, JSON format, 4


def topic(gateway: str, last: str) -> str:
    """Return the topic of a stream, of the state or of the commands: ``linli/v1/{gateway}/{last}``."""
    return f"linli/v1/{gateway}/{last}"
