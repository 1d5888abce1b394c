"""Entity tags of rewritten responses, without I/O."""

import re

_TAG = re.compile(rb'(W/)?"([^"]*)"')


class EntityTags:
    """Entity tags of rewritten bodies: weak (RFC 9110 §8.8.1), and marked with the rewriter's version.

    The mark distinguishes them from the upstream's own weak tags and from those of another version, whose script a
    policy would block. In requests the mark is removed again, so that `If-None-Match` and `If-Match` compare the
    upstream's own tags.
    """

    def __init__(self, version: bytes) -> None:
        self._strong, self._weak = b"-zs" + version, b"-zw" + version

    def mark(self, tag: bytes) -> bytes:
        """Return the tag of a rewritten body."""
        found = _TAG.fullmatch(tag.strip())
        if not found:
            return tag
        return b'W/"' + found[2] + (self._weak if found[1] else self._strong) + b'"'

    def restore(self, tags: bytes) -> bytes:
        """Return the list of tags of a request with the upstream's own tags."""
        return _TAG.sub(self._restore_one, tags)

    def _restore_one(self, tag: re.Match[bytes]) -> bytes:
        for mark, weak in ((self._strong, b""), (self._weak, b"W/")):
            if tag[1] and tag[2].endswith(mark):
                return weak + b'"' + tag[2].removesuffix(mark) + b'"'
        return tag[0]
