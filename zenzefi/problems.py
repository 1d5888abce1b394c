"""Problems of the settings, collected while they are read, so that one message names all of them."""

from django.core.exceptions import ImproperlyConfigured

_found: list[str] = []
_reading = False


def start() -> None:
    """Collect problems from now on, until `finish`."""
    global _reading  # noqa: PLW0603
    _found.clear()
    _reading = True


def are_collected() -> bool:
    """Return whether the settings are being read."""
    return _reading


def add(sentence: str) -> None:
    """Collect a problem: what is wrong, then what to do. Raise it if the settings are not being read."""
    if not _reading:
        raise ImproperlyConfigured(sentence)
    if sentence not in _found:
        _found.append(sentence)


def stop_if_any() -> None:
    """Raise `ImproperlyConfigured` with all problems, if there are any."""
    if len(_found) == 1:
        raise ImproperlyConfigured(_found[0])
    if _found:
        raise ImproperlyConfigured("\n- ".join([f"{len(_found)} problems with the settings.", *_found]))


def finish() -> None:
    """End the collection and raise what it found; again for each import of the settings, as Django tries twice."""
    global _reading  # noqa: PLW0603
    _reading = False
    stop_if_any()
