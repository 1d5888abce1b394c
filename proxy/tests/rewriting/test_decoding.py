"""Decoding of content codings, which must not depend on the pieces in which a body arrives."""

import gzip
import random
import time
import zlib
from itertools import pairwise

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dataplane.rewriting import encoding
from proxy.dataplane.rewriting.encoding import Decoder, zstd
from proxy.dataplane.upstream.errors import InvalidResponse


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def in_two(pack):
    """Return a function that encodes the halves of its argument one after the other."""
    return lambda data: pack(data[: len(data) // 2]) + pack(data[len(data) // 2 :])


# The codings, and a function that encodes a body.
FORMS = {
    "gzip": ([b"gzip"], gzip.compress),
    "several members": ([b"gzip"], in_two(gzip.compress)),
    "gzip with padding": ([b"gzip"], lambda data: gzip.compress(data) + bytes(700)),
    "gzip with a rest": ([b"x-gzip"], lambda data: gzip.compress(data) + b"\x1fgarbage"),
    "deflate": ([b"deflate"], zlib.compress),
    "deflate with a rest": ([b"deflate"], lambda data: zlib.compress(data) + b"garbage"),
    "raw deflate": ([b"deflate"], raw_deflate),
    "br": ([b"br"], lambda data: brotli.compress(data, quality=4)),
    "zstd": ([b"zstd"], zstd.compress),
    "several frames": ([b"zstd"], in_two(zstd.compress)),
    "a skippable frame": ([b"zstd"], lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(data)),
    "gzip in br": ([b"gzip", b"br"], lambda data: brotli.compress(gzip.compress(data), quality=4)),
    "br in gzip": ([b"br", b"gzip"], lambda data: gzip.compress(brotli.compress(data, quality=4))),
    "zstd in deflate in br": (
        [b"zstd", b"deflate", b"br"],
        lambda data: brotli.compress(zlib.compress(zstd.compress(data)), quality=4),
    ),
    "no coding": ([], bytes),
}
MALFORMED = {
    "no gzip": ([b"gzip"], b"no such thing at all"),
    "a second member cut short": ([b"gzip"], gzip.compress(b"x") + gzip.compress(b"y")[:-3]),
    "a wrong checksum": ([b"gzip"], gzip.compress(b"x" * 99)[:-8] + bytes(8)),
    "no deflate": ([b"deflate"], b"\xff\xff such thing"),
    "no brotli": ([b"br"], b"\xff\xff such thing"),
    "brotli with a rest": ([b"br"], brotli.compress(b"x" * 99) + b"garbage"),
    "no zstd": ([b"zstd"], b"no such thing at all"),
    "zstd with a rest": ([b"zstd"], zstd.compress(b"x" * 99) + b"gar"),
    "a wrong inner coding": ([b"gzip", b"br"], brotli.compress(b"no such thing at all")),
}
# Text, random bytes, a run, and a mixture, so that output stays pending in each decoder.
BLOCK = b"".join(b"<p class=c%d>%d</p>\n" % (n % 7, n * n) for n in range(4000))
RANDOM = random.Random(1).randbytes(2**20)


def body(kind, size):
    """Return a body of this kind and size."""
    block = {"text": BLOCK, "random": RANDOM, "run": b"a" * 5000, "mixture": BLOCK[:30_000] + RANDOM[:40_000]}[kind]
    return (block * (size // len(block) + 1))[:size]


def decode(codings, pieces):
    """Return the decoded body of these pieces. Raise `InvalidResponse` if it is malformed or cut short."""
    decoder = Decoder(codings)
    out = []
    for piece in pieces:
        for part in decoder.feed(piece):
            assert 0 < len(part) <= encoding.PIECE
            out.append(part)
    decoder.close()
    return b"".join(out)


def cut(data, places):
    """Return the data cut at these places; a place that is named twice makes an empty piece."""
    ends = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def in_steps(data, step):
    return [data[start : start + step] for start in range(0, len(data), step)]


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 200_000), st.sampled_from([2**14, 2**15, 2**16, 2**20]))


# case C52
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(["text", "random", "run", "mixture"]),
    size=SIZES,
    places=st.lists(st.integers(0, 2**17), max_size=12),
    step=st.sampled_from([0, 0, 700, 16_384, 65_536]),
)
def test_the_result_does_not_depend_on_the_cuts(form, kind, size, places, step):
    codings, pack = FORMS[form]
    plain = body(kind, size)
    packed = pack(plain)
    pieces = in_steps(packed, step) if step else cut(packed, places)
    assert decode(codings, pieces) == plain


# case C52
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "random", "run", "mixture"])
@pytest.mark.parametrize("form", FORMS)
def test_sizes_and_cuts_of_all_magnitudes(form, kind):
    codings, pack = FORMS[form]
    for size in [*range(0, 2**18, 6_151), 2**20 - 1, 2**20, 2**22 - 1, 2**22, 2**22 + 1]:
        plain = body(kind, size)
        packed = pack(plain)
        for step in (61, 1_021, 16_383, 16_384, 16_385, 65_536, 2**18, 2**23):
            if len(packed) < 20_000 * step:
                assert decode(codings, in_steps(packed, step)) == plain, (size, step)


# case C52
@pytest.mark.parametrize("form", FORMS)
def test_all_output_comes_before_more_input_is_needed(form):
    """Return what the browser can show already; pages of these sizes arrive in one piece."""
    codings, pack = FORMS[form]
    for size in range(30_000, 150_000, 9_973):
        plain = body("mixture", size)
        assert b"".join(Decoder(codings).feed(pack(plain))) == plain


# case C52
@pytest.mark.parametrize("form", FORMS)
def test_every_cut_of_a_small_body(form):
    """Cut the body at each byte in two and in single bytes, and cut each of its ends off."""
    codings, pack = FORMS[form]
    plain = b"<a href='/x'>" + b"ab" * 40
    packed = pack(plain)
    assert decode(codings, in_steps(packed, 1)) == plain
    assert decode(codings, [b"", packed, b"", b""]) == plain
    for place in range(len(packed) + 1):
        assert decode(codings, cut(packed, [place, place])) == plain


# cases C50, C52
@pytest.mark.parametrize("form", [form for form in FORMS if form != "no coding" and "rest" not in form])
@pytest.mark.parametrize("size", [0, 1, 300, 40_000])
def test_a_truncated_body_never_looks_complete(form, size):
    codings, pack = FORMS[form]
    plain = body("mixture", size)
    packed = pack(plain)
    ends = range(1, len(packed)) if size < 1000 else range(1, len(packed), 997)
    for end in ends:
        for step in (len(packed), 1 if size < 1000 else 4096):
            try:
                whole = decode(codings, in_steps(packed[:end], step))
            except InvalidResponse:
                continue
            assert _is_whole(form, packed, end), (end, step)
            assert plain.startswith(whole)


def _is_whole(form, packed, end):
    """Return whether the first bytes are a whole body: all but padding, or the first of several members."""
    if form == "gzip with padding":
        return end >= len(packed) - 700
    if form == "several members":
        return packed[end : end + 2] == b"\x1f\x8b" or packed[end - 1 : end + 1] == b"\x1f\x8b"
    if form == "several frames":
        return packed[end : end + 4] == b"\x28\xb5\x2f\xfd"
    return form == "a skippable frame" and end == 11


# cases C50, C52
@pytest.mark.parametrize("form", MALFORMED)
def test_a_malformed_body_fails_in_every_cut(form):
    codings, packed = MALFORMED[form]
    for pieces in ([packed], in_steps(packed, 1), *(cut(packed, [place]) for place in range(len(packed)))):
        with pytest.raises(InvalidResponse):
            decode(codings, pieces)


@pytest.mark.parametrize("form", FORMS)
def test_no_body_at_all(form):
    """Accept an empty body in spite of its coding, as a response to a conditional request may be."""
    assert decode(FORMS[form][0], []) == decode(FORMS[form][0], [b"", b""]) == b""


# case C52
@pytest.mark.parametrize("form", [form for form in FORMS if form != "no coding"])
@pytest.mark.parametrize("step", [100, 2**24])
def test_a_bomb_fails_in_every_cut(form, step):
    codings, pack = FORMS[form]
    packed = pack(bytes(40 * 2**20))
    decoder, sizes = Decoder(codings), []
    with pytest.raises(InvalidResponse):
        sizes.extend(len(part) for piece in in_steps(packed, step) for part in decoder.feed(piece))
    assert 0 < sum(sizes) <= max(encoding.MAX_DECODED, encoding.MAX_RATIO * len(packed)) + encoding.PIECE


# case C52
@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_endless_empty_members_are_decoded_in_linear_time(pack):
    """Decode a mebibyte of them in one piece; a decoder that copies all that follows each end takes far longer."""
    empty = pack(b"")
    packed = empty * (2**20 // len(empty))
    started = time.process_time()
    assert decode([b"gzip" if pack is gzip.compress else b"zstd"], [packed]) == b""
    assert time.process_time() - started < 5
