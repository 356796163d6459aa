"""Query a worklist with odil: the arguments are host, port, calling and called AE title, query files.

Prints what came back as JSON.  Runs under Debian's own Python, to which odil's module belongs.
"""

import json
import sys

import odil

WORKLIST = odil.registry.ModalityWorklistInformationModelFind


def associated(host, port, calling, called):
    """Return an association for the worklist."""
    parameters = odil.AssociationParameters
    syntaxes = [odil.registry.ImplicitVRLittleEndian, odil.registry.ExplicitVRLittleEndian]
    context = parameters.PresentationContext(1, WORKLIST, syntaxes, parameters.PresentationContext.Role.SCU)
    association = odil.Association()
    association.set_peer_host(host)
    association.set_peer_port(int(port))
    told = association.update_parameters()
    told.set_calling_ae_title(calling).set_called_ae_title(called).set_presentation_contexts([context])
    association.associate()
    return association


def find(association, path):
    """Return the answer to the query in the file *path*."""
    with odil.open(path) as stream:
        _, query = odil.Reader.read_file(stream)
    request = odil.messages.CFindRequest(association.next_message_id(), WORKLIST, 0, query)
    association.send_message(request, WORKLIST)
    pending, found = [], []
    while True:
        response = odil.messages.CFindResponse(association.receive_message())
        if not response.has_data_set():
            return {"pending": pending, "identifiers": found, "final": response.get_status()}
        pending.append(response.get_status())
        found.append(json.loads(odil.as_json(response.get_data_set())))


host, port, calling, called, *paths = sys.argv[1:]
association = associated(host, port, calling, called)
print(json.dumps([find(association, path) for path in paths]))
association.release()
