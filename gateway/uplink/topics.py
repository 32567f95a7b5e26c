"""The topics a gateway speaks and listens on."""


def topic(gateway: str, last: str) -> str:
    """Return the topic of a stream, of the state or of the commands: ``linli/v1/{gateway}/{last}``."""
    return f"linli/v1/{gateway}/{last}"
