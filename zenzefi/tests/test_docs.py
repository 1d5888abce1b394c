"""The documents name only files, objects and sections that exist."""

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("accounts", "billing", "access", "proxy", "zenzefi")
FOLDERS = (*PACKAGES, "bench", "deploy", "docs", "locale", "static", "templates")
# `make check` compares docs/cases.md with the tests.
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {ROOT / "docs/cases.md"})

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.parametrize("document", DOCUMENTS, ids=[str(document.relative_to(ROOT)) for document in DOCUMENTS]),
]


def code_in(document: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def anchors_of(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_paths_exist(document):
    paths = [code for code in code_in(document) if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]*", code)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_modules_exist(document):
    names = [code for code in code_in(document) if re.fullmatch(r"[\w-]+\.(py|js|css|html)", code)]
    known = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")}
    known |= {path.name for path in ROOT.iterdir()}
    assert [name for name in names if name not in known] == []


def test_objects_exist(document):
    dotted = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+){{2,}}")
    names = [found.group() for code in code_in(document) if (found := dotted.match(code))]
    assert [name for name in names if not resolves(name)] == []


def resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    broken = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []
