"""Tokens that the benchmark seeds are admitted like purchased ones."""

from pathlib import Path

import pytest

from access.selectors import grant_facts
from bench import seed
from zenzefi.common.digests import secret_digest

pytestmark = pytest.mark.django_db


def test_seeded_tokens_are_admitted_and_not_yet_used(tmp_path: Path) -> None:
    seed.issue(tmp_path / "tokens", 30, 3)
    texts = [line.split()[0] for line in (tmp_path / "tokens").read_text().splitlines()]
    facts = [grant_facts(secret_digest(text)) for text in texts]
    assert len({each.user_id for each in facts if each}) == len(texts) == 3
    assert all(each and each.user_active and not (each.frozen or each.revoked or each.activated) for each in facts)
    assert seed.count() == 0
