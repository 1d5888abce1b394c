"""News from accounts, sent inside the transaction that makes it true."""

from django.dispatch import Signal

user_activity_changed = Signal()  # kwargs: user, whose `is_active` is already the new one
password_changed = Signal()  # kwargs: user; not sent for a new user
superuser_created = Signal()  # kwargs: user; its e-mail address needs no confirmation
