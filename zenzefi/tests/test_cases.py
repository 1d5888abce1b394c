"""The check that each case has a test, and each test's case is in the catalogue."""

from pathlib import Path

import pytest

from zenzefi.tests import cases

CATALOGUE = "# Cases\n\n## A. Ledger\n\n- **A1** Entries sum to zero.\n- **A2** No overdraft.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/cases.md").write_text(CATALOGUE)
    (tmp_path / "billing/tests").mkdir(parents=True)
    return tmp_path


def write_test(root: Path, text: str) -> None:
    (root / "billing/tests/test_ledger.py").write_text(text)


def test_tests_are_listed_below_their_cases(root: Path) -> None:
    write_test(root, "# cases A1, A2: both\n@mark\ndef test_sums():\n    pass\n")
    assert cases.problems(root) == ["docs/cases.md: the lists of tests are out of date. Run `make format`."]

    cases.write(root)
    cases.write(root)

    assert cases.problems(root) == []
    listed = CATALOGUE.replace(".\n", ".\n  `billing/tests/test_ledger.py`\n")
    assert (root / "docs/cases.md").read_text() == listed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def test_sums():  # case A1\n    pass\n", "docs/cases.md: A2 has no test"),
        (
            "class TestSums:\n    # cases A1, A2, A3\n    x = 1\n",
            "billing/tests/test_ledger.py: A3 is not in docs/cases.md",
        ),
        (
            "# case A1\n\ndef test_sums():\n    # case A2\n    pass\n",
            "billing/tests/test_ledger.py:1: write it as `# case C41` or `# cases C41, C42`, at a test",
        ),
        (
            "def test_sums():  # this is case A1\n    pass\n",
            "billing/tests/test_ledger.py:1: write it as `# case C41` or `# cases C41, C42`, at a test",
        ),
    ],
)
def test_what_does_not_fit_is_named(root: Path, text: str, problem: str) -> None:
    write_test(root, text)

    assert problem in cases.problems(root)


def test_a_case_is_listed_once(root: Path) -> None:
    (root / "docs/cases.md").write_text(CATALOGUE.replace("A2", "A1"))
    write_test(root, "def test_sums():  # case A1\n    pass\n")

    assert "docs/cases.md: A1 is listed twice" in cases.problems(root)
