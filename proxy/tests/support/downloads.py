"""Content of the demo upstream's downloads."""


def download_content(size: int) -> bytes:
    """Return what `/download/{size}` of the demo upstream sends."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def download_part(first: int, last: int) -> bytes:
    """Return the bytes of a download from position `first` to `last`."""
    return download_content(last + 1)[first:]
