"""Several workers on one machine: processes that share listening sockets, and the small parent over them."""

from mwl.supervisor.line import Line
from mwl.supervisor.supervisor import Failed, Supervisor

__all__ = ["Failed", "Line", "Supervisor"]
