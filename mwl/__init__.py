"""A Modality Worklist broker: HL7 orders in, a DICOM worklist out, performed steps back."""

__version__ = "0.1.0"
