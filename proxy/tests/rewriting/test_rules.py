"""The rules of rewriting pages, stylesheets and header fields, without I/O and for every division into chunks."""

import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dataplane.rewriting.content_policy import PolicyRewriter
from proxy.dataplane.rewriting.css import CssRewriter
from proxy.dataplane.rewriting.entity_tags import EntityTags
from proxy.dataplane.rewriting.html import MAX_TAG_BYTES, HtmlRewriter
from proxy.dataplane.rewriting.response import Rewriting
from proxy.dataplane.rewriting.script import Script
from proxy.dataplane.rewriting.urls import UrlRewriter

pytestmark = pytest.mark.embedded

ORIGIN = b"http://up:9000"
URLS = UrlRewriter(ORIGIN, b"")
SCRIPT = b"<script>ours</script>"


def rewrite(rewriter, data, cuts=()):
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return b"".join(map(rewriter.feed, pieces)) + rewriter.close()


def rewrite_page(data, cuts=(), *, script=b"", urls=URLS, **options):
    return rewrite(HtmlRewriter(urls, lambda policy: policy, script=script, **options), data, cuts)


def rewrite_css(data, cuts=(), urls=URLS):
    return rewrite(CssRewriter(urls), data, cuts)


def expected(template):
    """Return the template with the prefix for each `^`."""
    return template.replace(b"^", b"/api/v1/proxy")


def original(template):
    """Return the template as the upstream sent it."""
    return template.replace(b"^", b"")


# Each `^` marks a place at which the rewriter inserts the prefix.
PAGES = [
    b"<a href=^/x>", b"<a href='^/x'>", b'<a href="^/x?a=1&amp;b=/y#/z">', b'<A HREF = "^/x">',
    b"<a\nhref\n=\n^/x\n>",
    b"<img src=^/x alt=/x>", b"<form action=^/>", b"<button formaction='^/x'>", b"<video poster=^/x src=^/y>",
    b"<object data=^/x>", b"<body background=^/x>", b"<html manifest=^/x>", b'<a ping="^/x  ^/y https://z/">',
    b'<img srcset="^/a.png 1x, ^/b.png 2x">', b"<img srcset='^/a,b.png, ^/c 100w,^/d (x, /y), ^/e'>",
    b"<link imagesrcset='^/a 1x'>", b"<base href=^/>", b"<a href=' \t^/x'>", b"<use xlink:href='^/x#y'/>",
    b"<meta http-equiv=refresh content='5; url=^/x'>", b"<meta content=\"0;^/x\" http-equiv='Refresh'>",
    b"<p style=\"background: url(^/x) url('^/y')\">", b"<p style='background: url(&quot;^/x&quot;)'>",
    b"<style>a { b: url(^/x) } @import '^/y';</style><a href=^/z>", b"<style>@import \"^/y</style><a href=^/z>",
    b"<a href=^/x/>", b"<a x=1 x href=^/x>", b"<a href=^/x href=^/y>", b"<a/href=^/x>", b"<a ''=1 href=^/x>",
    b"<p title='>' id=a>b onclick=c href=/x>", b"<a title=\"a href='/x'\" href=^/x>", b"<a b='c'href=^/x>",
    b"<noscript><img src=^/x></noscript>", b"<!DOCTYPE html SYSTEM '/x'><a href=^/x>", b"<?php <a href=/x>",
    b"<!--><a href=^/x>-->", b"<!---><a href=^/x>-->", b"<!-- --!><a href=^/x>", b"<!--<a href=/x>--><a href=^/x>",
    b"<!-- -- > <a href=/x> -->", b"</ a href=/x><a href=^/x>", b"</a href=/x>", b"< a href=/x>", b"<1 href=/x>",
    b"<a =href=/x href=^/y>", b"<a href==/x>", b"<a b= c=d href=^/x>", b"a < b <a href=^/x>", b"<<a href=^/x>",
    b"<svg><![CDATA[<a href=/x>]]><a href=^/x></svg>", b"<![CDATA[<a href=/x>]]><a href=^/x>",
    b"<svg><script href='^/x'/><a href=^/x></svg>", b"<title/><a href=/x></title><a href=^/x>",
    b"<script src=^/x>'<a href=/x>'</script><a href=^/y>", b"<script>'</scripts><a href=/x>'</script ><a href=^/y>",
    b"<SCRIPT>'<a href=/x>'</Script\n><a href=^/y>", b"<textarea><a href=/x></textarea><a href=^/y>",
    b"<title><a href=/x></title>", b"<xmp><a href=/x></xmp>", b"<iframe src=^/x><a href=/y></iframe>",
    b"<script><!-- <script> </script> <a href=/x> --></script><a href=^/y>",
    b"<script><!-- </script><a href=^/y>", b"<script><!--><script></script><a href=^/y>",
    b"<link rel=x href=^/x integrity=y>", b"<script integrity='x' src=^/y></script>",
    b"<a href=//other/x data=/x content=/x cite=/x value=/x>", b"<a href=/api/v1/proxy/x>", b"<a href=/api/v1/proxy>",
    b"<a href=^/api/v1/proxyx>", b"<a href='/\\other'>", b"<a href='x' src='../x' action='?x' data='#x'>",
    b"<a href>",
    b"<a href=''>", b"<a href='javascript:/x'>", b"<a href='https://other/x'>", b"<a href=", b"<a href='/x",
    b"<a", b"<",
]  # fmt: skip

STYLES = [
    b"a { b: url(^/x) }", b"url( '^/x' )", b'URL("^/x")', b"url(^/x", b"url('^/x", b"@import '^/x' screen;",
    b'@import url("^/x");', b"@import/**/'^/x'", b"@IMPORT\n\t\"^/x\"", b"@import /* ' */ /* */ url(^/x)",
    b"@important '/x'", b"@import-x '/x'", b"@import", b"myurl(/x)", b"my-url(/x)", b"/* url(/x) */ url(^/y)",
    b"'url(/x)' url(^/y)", b"'\\'url(/x)' url(^/y)", b"\\'url(^/x)", b"a'\nurl(^/x)", b"url(//other/x)", b"url(x/y)",
    b"url(/api/v1/proxy/x)", b"url(data:image/svg+xml,<a href='/x'>)", b"url()", b"url(a\\)/x)", b"/", b"/*", b"/**",
    b"@namespace 'http://up:9000x/';", b"url(https://other/) url(^/y)", b"content: '/x'", b"u", b"url", b"\\",
]  # fmt: skip


@pytest.mark.parametrize("template", PAGES)
def test_pages(template):
    data = original(template)
    assert rewrite_page(data) == expected(template)
    assert rewrite_page(data, range(1, len(data))) == expected(template)


@pytest.mark.parametrize("template", STYLES)
def test_styles(template):
    data = original(template)
    assert rewrite_css(data) == expected(template)
    assert rewrite_css(data, range(1, len(data))) == expected(template)


@pytest.mark.parametrize(
    ("address", "under"),
    [
        (b"http://up:9000/x", b"/api/v1/proxy/x"), (b"HTTP://UP:9000?x", b"/api/v1/proxy/?x"),
        (b"//up:9000/x", b"/api/v1/proxy/x"), (b"http://up:9000", b"/api/v1/proxy/"),
        (b"http://up:90001/x", None), (b"http://up:900/x", None), (b"https://up:9000/x", None),
        (b"http://up:9000@other/x", None), (b"http://up:9000.other/", None),
    ],
)  # fmt: skip
def test_addresses_with_a_host(address, under):
    expected_text = under or address
    assert URLS.rewrite(address) == expected_text
    for cuts in ((), range(1, len(address) + 9)):
        assert rewrite_page(b"<a href='" + address + b"'>", cuts) == b"<a href='" + expected_text + b"'>"
    assert rewrite_css(b"url(" + address + b")", range(1, len(address) + 5)) == b"url(" + expected_text + b")"


def test_an_upstream_below_a_path():
    below = UrlRewriter(ORIGIN, b"/app")
    assert rewrite_page(b"<a href=/app/x><a href=/app><a href=/application>", urls=below) == expected(
        b"<a href=^/x><a href=^><a href=^/application>"
    )
    assert rewrite_css(b"url(/app/x)", range(1, 10), below) == expected(b"url(^/x)")


FRAGMENTS = [re.sub(rb"\^", b"", each) for each in [*PAGES, *STYLES]]
FRAGMENTS += [
    b"<",
    b">",
    b"'",
    b'"',
    b"-->",
    b"<!--",
    b"</",
    b"</script>",
    b"<script>",
    b"<style>",
    b"</style>",
    b"=",
]
FRAGMENTS += [
    b" ",
    b"\n",
    b"/",
    b"http://up:9000/x",
    b"/x",
    b"\xff\xfe",
    b"url(",
    b"@import",
    b"\\",
    b"*/",
    b"<head>",
]
_texts = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=5), max_size=12).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.data(), _texts, st.booleans(), st.sampled_from([b"", SCRIPT]))
def test_the_division_into_chunks_makes_no_difference(data, text, xhtml, script):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    whole = rewrite_page(text, script=script, xhtml=xhtml)
    assert rewrite_page(text, cuts, script=script, xhtml=xhtml) == whole
    assert rewrite_page(text, range(1, len(text)) if text else (), script=script, xhtml=xhtml) == whole
    assert rewrite_css(text, cuts) == rewrite_css(text)


@settings(max_examples=400, deadline=None)
@given(_texts)
def test_only_the_prefix_is_added_and_only_once(text):
    plain = text.replace(b"http://up:9000", b"").replace(b"integrity", b"").replace(b"/api/v1/proxy", b"")
    whole = rewrite_page(plain, script=SCRIPT)
    assert whole.replace(SCRIPT, b"").replace(b"/api/v1/proxy", b"") == plain
    assert rewrite_css(rewrite_css(plain)) == rewrite_css(plain)
    assert rewrite_css(plain).replace(b"/api/v1/proxy", b"") == plain


class TestThePlaceOfTheScript:
    @pytest.mark.parametrize(
        "template",
        [
            b"<!doctype html><html><head>^<script>", b"<html lang=x><HEAD id=y>^<title>",
            b"<!-- a --> <html>\n<head>^\n",
            b"<!doctype html><html>^<body>", b"<!doctype html>^<title>", b"^text", b"\xef\xbb\xbf <!-- --> ^text",
            b"<html>^<script>x</script>", b"<?xml?>^<meta>", b"^</p>", b"^<", b" ^<1",
            b"<html><!--<head>-->^<frameset>",
        ],
    )  # fmt: skip
    def test_it_precedes_everything_that_may_run(self, template):
        data = template.replace(b"^", b"")
        for cuts in ((), range(1, len(data))):
            assert rewrite_page(data, cuts, script=SCRIPT) == template.replace(b"^", SCRIPT)

    @pytest.mark.parametrize("data", [b"", b" \n", b"<!-- <head> -->", b"<!doctype html>\n", b"<!-- <head>"])
    def test_an_empty_page_has_none(self, data):
        assert rewrite_page(data, script=SCRIPT) == data

    def test_in_xhtml_it_stands_in_the_head_only(self):
        assert (
            rewrite_page(b"<html><head><title/>", script=SCRIPT, xhtml=True) == b"<html><head>" + SCRIPT + b"<title/>"
        )
        for data in (b"<html><body>text</body></html>", b"<html><head/>", b"text"):
            assert rewrite_page(data, script=SCRIPT, xhtml=True) == data

    def test_it_is_valid_in_html_and_xml(self):
        for urls in (URLS, UrlRewriter(b"http://[::1]:9000", b"/a&b<c>]]>\"'\xc3\xa4")):
            content = Script(urls).element.removeprefix(b"<script>").removesuffix(b"</script>")
            assert not re.search(rb"[<&\x80-\xff]|\]\]>", content)


# case C52
class TestLimits:
    @pytest.mark.parametrize(
        "begin",
        [
            b"<a href='", b"<a ", b"<a", b"<!--", b"<!", b"<script>", b"<style>", b"<style>/*", b"<title>", b"a",
            b"<style>'", b"<style>url(", b"<style>@import ", b"<svg><![CDATA[", b"<a b", b"<a b=", b"<p style='",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("filling", [b"x", b" ", b"-", b"<", b"/", b"'", b"\\", b"url(", b"<!--", b"=x "])
    def test_constructs_that_never_end_cost_little_memory_and_time(self, begin, filling):
        rewriter = HtmlRewriter(URLS, lambda policy: policy, script=SCRIPT)
        block, size = filling * (16_384 // len(filling)), 0
        tracemalloc.start()
        started = time.process_time()
        size += len(rewriter.feed(begin))
        for _ in range(24):
            size += len(rewriter.feed(block))
        spent, (_, most) = time.process_time() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size += len(rewriter.close())
        assert size >= len(begin) + 24 * len(block)
        assert most < 2 * 2**20
        assert spent < 10  # for 384 KiB under a tracer; quadratic work would take minutes

    def test_a_tag_that_is_too_long_stays_unchanged(self):
        for name, after in ((b"a", b"<a href=^/x>"), (b"script", b"'<a href=/x>'</script><a href=^/x>")):
            tag = b"<" + name + b" href=/y title='" + b"x" * MAX_TAG_BYTES + b">' src=/z>"
            data = tag + original(after)
            expected_text = SCRIPT + tag + expected(after)
            for cuts in ((), range(1000, len(data), 1000), [len(data) - 40]):
                assert rewrite_page(data, cuts, script=SCRIPT) == expected_text

    def test_the_longest_tag_that_is_rewritten(self):
        for more, changed in ((0, True), (1, False)):
            tag = b"<a href=/y title='" + b"x" * (MAX_TAG_BYTES - 20 + more) + b"'>"
            assert len(tag) == MAX_TAG_BYTES + more
            for cuts in ((), range(999, len(tag), 999)):
                assert (b"/api/v1" in rewrite_page(tag, cuts)) is changed


POLICY = PolicyRewriter(URLS, b"https://own", b"'sha256-x'")


@pytest.mark.parametrize(
    ("given_policy", "expected_text"),
    [
        (b"script-src 'self'", b"script-src 'self' 'sha256-x'"),
        (b"script-src 'none'", b"script-src 'sha256-x'"),
        (b"script-src", b"script-src 'sha256-x'"),
        (b"script-src 'unsafe-inline'", b"script-src 'unsafe-inline'"),
        (b"script-src 'unsafe-inline' 'nonce-a'", b"script-src 'unsafe-inline' 'nonce-a' 'sha256-x'"),
        (b"script-src 'strict-dynamic' 'nonce-a'", b"script-src 'strict-dynamic' 'nonce-a' 'sha256-x'"),
        (b"script-src 'self'; script-src-elem 'none'", b"script-src 'self'; script-src-elem 'sha256-x'"),
        (b"default-src 'self'", b"default-src 'self'; script-src 'self' 'sha256-x'"),
        (b"default-src 'none'; img-src *", b"default-src 'none'; img-src *; script-src 'sha256-x'"),
        (b"default-src 'unsafe-inline'", b"default-src 'unsafe-inline'"),
        (b"img-src 'self'", b"img-src 'self'"),
        (b"SCRIPT-SRC 'None';;", b"SCRIPT-SRC 'sha256-x';;"),
        (b"script-src a; script-src b", b"script-src a 'sha256-x'; script-src b"),
        (b"script-src 'none', default-src 'self'",
         b"script-src 'sha256-x', default-src 'self'; script-src 'self' 'sha256-x'"),
        (b"img-src http://up:9000/a/ up:9000/b http://up:9000",
         b"img-src https://own/api/v1/proxy/a/ https://own/api/v1/proxy/b https://own/api/v1/proxy/"),
        (b"img-src https://other/c *.up:9000 data: *", b"img-src https://other/c *.up:9000 data: *"),
        (b"connect-src ws://up:9000/ws", b"connect-src wss://own/api/v1/proxy/ws"),
        (b"frame-ancestors http://up:9000", b"frame-ancestors https://own"),
        (b"report-uri /csp https://other/csp; sandbox allow-scripts",
         b"report-uri /api/v1/proxy/csp https://other/csp; sandbox allow-scripts"),
    ],
)  # fmt: skip
def test_policies(given_policy, expected_text):
    assert POLICY.rewrite(given_policy) == expected_text


def test_a_policy_in_the_page():
    def rewritten(data):
        return rewrite(HtmlRewriter(URLS, POLICY.rewrite), data)

    meta = b'<meta http-equiv=Content-Security-Policy content="script-src &#39;self&#39; http://up:9000/x">'
    assert rewritten(meta) == (
        b'<meta http-equiv=Content-Security-Policy content="script-src &#x27;self&#x27; '
        b'https://own/api/v1/proxy/x &#x27;sha256-x&#x27;">'
    )
    assert rewritten(b"<meta http-equiv=content-security-policy content=script-src>") == (
        b'<meta http-equiv=content-security-policy content="script-src &#x27;sha256-x&#x27;">'
    )
    same = b'<meta http-equiv=Content-Security-Policy content="img-src &#39;self&#39;">'
    assert rewritten(same) == same


@settings(deadline=None)
@given(st.text('abz09-W/ "', max_size=12).filter(lambda text: '"' not in text), st.booleans())
def test_marked_entity_tags_are_restored(opaque, weak):
    tags = EntityTags(b"01234567")
    tag = (b"W/" if weak else b"") + b'"' + opaque.encode() + b'"'
    marked = tags.mark(tag)
    assert marked.startswith(b'W/"')
    assert tags.restore(b'"a", ' + marked + b", *") == b'"a", ' + tag + b", *"
    assert EntityTags(b"76543210").restore(marked) == marked


def test_a_link_header():
    value = b'</a>; rel=preload; title="</b>", <//c/d>; rel=x, <http://up:9000/e>'
    expected_text = b'</api/v1/proxy/a>; rel=preload; title="</b>", <//c/d>; rel=x, </api/v1/proxy/e>'
    assert URLS.rewrite_link(value) == expected_text


def test_an_integrity_hash_of_rewritten_css_is_dropped():
    own = [b"/a", b"a.css", b"http://up:9000/a", b"//up:9000/a"]
    for address in [*own, b"https://cdn/a", b"//cdn/a"]:
        for link in (
            b"<link rel=stylesheet href=%s integrity='x'>",
            b"<link integrity=x as=style href=%s rel=preload>",
        ):
            assert (b"integrity" in rewrite_page(link % address)) is (address not in own)


def test_the_script_and_its_version_depend_on_the_upstream():
    one, other = (Rewriting(origin, b"") for origin in (b"http://one", b"http://other"))
    assert one.script.version != other.script.version
    rewriter, _passed = one.begin([], b"http://own")
    assert rewriter.response("GET", 200, [(b"content-type", b"image/png")])[1] is None
