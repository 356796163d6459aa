"""The DICOM side of the broker: acceptor, services, requestor.

The one place where pynetdicom is configured, before any of its classes is used.
"""

from __future__ import annotations

import logging

from pynetdicom import _config

# Names and IDs of patients are logged at INFO unless these are off (E-09).
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# Its codecs log what a peer sent, with a traceback, before they raise; the broker reports the
# association's end itself, once.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
