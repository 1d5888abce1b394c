"""The Russian catalogue is complete and correct."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).parents[2]
PO = ROOT / "locale/ru/LC_MESSAGES/django.po"
APPS = ("accounts", "billing", "access", "proxy", "zenzefi")
KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
THE_SAME_IN_RUSSIAN = {"SHA-256"}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return read_po(BytesIO(PO.read_bytes()), locale="ru", abort_invalid=True)


def forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def entries(catalogue: Catalog) -> Iterator[Message]:
    return (entry for entry in catalogue if entry.id)


def texts_of_the_source() -> Iterator[tuple[tuple[Any, str | None], str]]:
    """Yield each marked text (a pair if it has a plural) with its context, and its place in the source."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "tests" not in path.parts:
                yield from marked(path, path.read_bytes())
    for path in sorted((ROOT / "templates").rglob("*.*")):
        source = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        yield from marked(path, f"(\n{source}\n)".encode())  # indentation is ignored in brackets


def marked(path: Path, source: bytes) -> Iterator[tuple[tuple[Any, str | None], str]]:
    for line, text, _comments, context in extract("python", BytesIO(source), KEYWORDS):
        yield (text, context), f"{path.relative_to(ROOT)}:{line}"


def test_every_text_of_the_source_is_there_and_no_other(catalogue: Catalog) -> None:
    known = {(entry.id, entry.context) for entry in entries(catalogue)}
    places = dict(texts_of_the_source())
    assert len(places) > 100
    assert [f"{place}: {text!r}" for text, place in places.items() if text not in known] == []
    assert known - places.keys() == set()
    assert not catalogue.obsolete


def test_every_text_is_translated(catalogue: Catalog) -> None:
    for entry in entries(catalogue):
        assert not entry.fuzzy, entry.id
        assert len(forms(entry.string)) == (3 if entry.pluralizable else 1), entry.id
        for text in forms(entry.string):
            assert CYRILLIC.search(text) or entry.id in THE_SAME_IN_RUSSIAN, entry.id
            assert text == text.strip(), entry.id


def test_placeholders_are_kept(catalogue: Catalog) -> None:
    for entry in entries(catalogue):
        expected = sorted(PLACEHOLDER.findall(forms(entry.id)[-1]))
        for text in forms(entry.string):
            assert sorted(PLACEHOLDER.findall(text)) == expected, entry.id
        assert list(entry.check(catalogue)) == []


def test_the_header(catalogue: Catalog) -> None:
    assert str(catalogue.locale) == "ru"
    assert catalogue.charset.lower() == "utf-8"
    assert catalogue.num_plurals == 3
    assert not catalogue.fuzzy


# Names, and the names of languages in these languages.
AS_THEY_ARE = {"Zenzefi", "English", "Русский", "ZNC", "SHA", "QR", "curl", "Python"}
# Translated texts, and the one block that holds a class instead of words.
TRANSLATED = re.compile(
    r"{% (?:blocktranslate|comment)\b.*?{% end(?:blocktranslate|comment) %}|{% block width %}.*?{% endblock.*?%}",
    re.DOTALL,
)
TEMPLATE_CODE = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
VISIBLE_ATTRIBUTE = re.compile(r'\b(?:title|alt|placeholder|aria-label|data-label|data-copied|data-over)="([^"]*)"')
NOT_FOR_READERS = re.compile(r"<(script|style|code|pre)\b.*?</\1>|<[^>]*>|&\w+;", re.DOTALL)
TEMPLATES = [
    path
    for path in sorted((ROOT / "templates").rglob("*.*"))
    if not {"admin", "drf_spectacular"} & set(path.relative_to(ROOT).parts)
]


def bare_words(source: str) -> set[str]:
    """Return the visible words of a template that are not translated."""
    source = TEMPLATE_CODE.sub(" ", TRANSLATED.sub(" ", source))
    visible = [*VISIBLE_ATTRIBUTE.findall(source), NOT_FOR_READERS.sub(" ", source)]
    return set(re.findall(r"[^\W\d_]{2,}", " ".join(visible))) - AS_THEY_ARE


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_all_words_of_a_template_are_translated(path: Path) -> None:
    assert bare_words(path.read_text(encoding="utf-8")) == set()


def test_the_search_for_bare_words_finds_them() -> None:
    assert bare_words('<p title="Hover">{% translate "Fine" %} Bare<code>curl</code></p>') == {"Hover", "Bare"}


def test_scripts_contain_no_words() -> None:
    """Check that scripts only show texts from the page, as texts in scripts would not be translated."""
    for path in (ROOT / "static").glob("**/*.js"):
        if "vendor" not in path.parts:
            shown = re.findall(
                r"""(?:textContent|innerHTML|innerText|title|label)\s*[=:]\s*["'`]([^"'`]*[^\W\d_]{2})""",
                path.read_text(),
            )
            assert shown == [], path
