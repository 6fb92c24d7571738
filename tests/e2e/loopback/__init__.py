"""Registries on the loopback address, as far as dsv4 asks them: the Hub's API and a container registry's."""

from e2e.loopback.hub import Hub
from e2e.loopback.registry import Registry

__all__ = ["Hub", "Registry"]
