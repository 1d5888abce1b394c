"""Messages of Django REST framework and simplejwt that reach clients, but lack a good Russian translation there.

The module is not imported. The messages are marked here so that they belong to the catalogue of this project, which
Django searches first.
"""

from django.utils.translation import gettext_noop

REST_FRAMEWORK = (
    gettext_noop("A valid integer is required."),
    gettext_noop("Expected available in {wait} second."),
    gettext_noop("Expected available in {wait} seconds."),
    gettext_noop("Invalid data. Expected a dictionary, but got {datatype}."),
    gettext_noop("Must be a valid UUID."),
    gettext_noop("Must be a valid boolean."),
    gettext_noop("Not a valid string."),
    gettext_noop("Not found."),
    gettext_noop("Request was throttled."),
    gettext_noop("This field may not be null."),
)
SIMPLEJWT = (
    gettext_noop("Authorization header must contain two space-delimited values"),
    gettext_noop("Given token not valid for any token type"),
    gettext_noop("Token contained no recognizable user identification"),
    gettext_noop("User is inactive"),
    gettext_noop("User not found"),
)
