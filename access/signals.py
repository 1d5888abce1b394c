"""Signals that access sends to the data plane after a commit."""

from django.dispatch import Signal

access_revoked = Signal()  # no kwargs: receivers read the rows of `access.models.Revocation`
