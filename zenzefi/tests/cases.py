"""The catalogue of cases in `docs/cases.md`, checked against the tests that name them.

A test names its cases in a comment, `# case C41` or `# cases C41, C42: why`, in its body or above it.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Path("docs/cases.md")
APPS = ("accounts", "billing", "access", "proxy", "zenzefi")
COMMENT = re.compile(r"# (?:case (\w+)|cases (\w+(?:, \w+)+))(?:: .+)?$")
MENTION = re.compile(r"\bcases? [A-Z]\d+\b", re.IGNORECASE)
ENTRY = re.compile(r"^- \*\*(?P<case>\w+)\*\* (?P<text>.+)(?:\n  .+)*", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Check the catalogue or, with `--write`, bring its lists of tests up to date. Return the exit code."""
    if "--write" in arguments:
        write(ROOT)
    found = problems(ROOT)
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


def problems(root: Path) -> list[str]:
    """Return one line for each case without a test, unknown case, malformed comment and outdated list."""
    named, malformed = _named(root)
    text = (root / CATALOGUE).read_text()
    listed = [entry["case"] for entry in ENTRY.finditer(text)]
    found = [f"{place}: write it as `# case C41` or `# cases C41, C42`, at a test" for place in malformed]
    found += [f"{CATALOGUE}: {case} is listed twice" for case in sorted({c for c in listed if listed.count(c) > 1})]
    found += [f"{CATALOGUE}: {case} has no test" for case in listed if case not in named]
    found += [
        f"{test}: {case} is not in {CATALOGUE}"
        for case, tests in named.items()
        if case not in listed
        for test in tests
    ]
    if not found and _with_tests(text, named) != text:
        found.append(f"{CATALOGUE}: the lists of tests are out of date. Run `make format`.")
    return found


def write(root: Path) -> None:
    """Replace the test modules listed below each case by those that name it."""
    path = root / CATALOGUE
    path.write_text(_with_tests(path.read_text(), _named(root)[0]))


def _with_tests(text: str, named: dict[str, list[str]]) -> str:
    def entry(match: re.Match[str]) -> str:
        tests = "".join(f"\n  `{test}`" for test in named.get(match["case"], []))
        return f"- **{match['case']}** {match['text']}{tests}"

    return ENTRY.sub(entry, text)


def _named(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the test modules that name each case, and the places of malformed comments."""
    named: dict[str, list[str]] = {}
    malformed = []
    for path in sorted(path for app in APPS for path in (root / app).rglob("test_*.py")):
        name, source = path.relative_to(root).as_posix(), path.read_text()
        if not MENTION.search(source):
            continue
        tests = set(_lines_of_tests(source))
        for number, text in _comments(source):
            comment = COMMENT.match(text)
            if comment and number in tests:
                for case in (comment[1] or comment[2]).split(", "):
                    if name not in named.setdefault(case, []):
                        named[case].append(name)
            elif MENTION.search(text):
                malformed.append(f"{name}:{number}")
    return named, malformed


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _lines_of_tests(source: str) -> Iterator[int]:
    """Yield the line numbers of test functions and classes, and of the comments right above them."""
    lines = source.splitlines()
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, definitions) and node.name.startswith(("test_", "Test")):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            while lines[first - 2].lstrip().startswith("#"):
                first -= 1
            yield from range(first, (node.end_lineno or first) + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
