"""HTTP for the platform and the technician: pull, media, status, metrics and the status page."""

from gateway.api.service import Api

__all__ = ["Api"]
