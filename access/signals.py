"""News from access for the data plane above it, sent after the commit."""

from django.dispatch import Signal

access_revoked = Signal()  # no kwargs: whoever listens reads the rows of `access.models.Revocation`
