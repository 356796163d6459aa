"""A worklist server as pynetdicom's own example writes one: 20 responses, built and encoded each time.

python benchmarks/plain.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from asking import items
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]


def answer(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
    for response in items(20):
        yield 0xFF00, response


def main() -> None:
    entity = AE(ae_title="MWL")
    entity.add_supported_context(ModalityWorklistInformationFind)
    entity.maximum_associations = 2_000
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    print(server.server_address[1], flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
