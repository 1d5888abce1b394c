"""The colour themes of the site."""

THEMES = ("light", "dark")


def known_theme(name: str) -> str:
    """Return the name of a theme; an empty string, the theme of the device, if there is no such theme."""
    return name if name in THEMES else ""
