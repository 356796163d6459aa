"""What a field engineer does with profiles: explain, capture, learn, replay, try, test.

Everything here runs the path that answers devices (`mwl.dicom.answering`), on captured or invented
queries, and looks at what comes out; nothing here talks to a device.
"""
