"""The HTTP side: whether the process lives, whether it is ready, and its figures."""

from mwl.web.app import Readiness, build
from mwl.web.server import WebServer

__all__ = ["Readiness", "WebServer", "build"]
