"""Inputs that a call must reject."""

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
BAD_FLAGS = ["", "yes", "1", "tru", "null", "\x00", "true\x00", "я", "9" * 5000]
