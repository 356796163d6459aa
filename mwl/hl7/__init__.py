"""HL7 v2 over MLLP: orders in, their status out."""
