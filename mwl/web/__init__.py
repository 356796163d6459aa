"""The HTTP side: whether the process lives, whether it is ready, and its figures."""

from mwl.web.app import Readiness, build
from mwl.web.door import Bounds
from mwl.web.server import WebServer

__all__ = ["Bounds", "Readiness", "WebServer", "build"]
