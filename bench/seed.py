"""Large numbers of access tokens in the gateway's database, run with the gateway's Python and settings.

`issue FILE ALL USED` creates `ALL` tokens, ten per user, and writes the secrets of `USED` of them with a device id to
`FILE`, spread over as many users as possible. `count` prints the requests of their sessions in the database.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "zenzefi.settings"
django.setup()

from django.db import transaction  # noqa: E402
from django.db.models import Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from access import token_secret  # noqa: E402
from access.models import AccessToken, Scope  # noqa: E402
from accounts.models import User  # noqa: E402
from billing import ledger  # noqa: E402
from proxy.models import ProxySession  # noqa: E402
from zenzefi.common.digests import secret_digest  # noqa: E402

_TOKENS_EACH = 10
_HOURS = 24
_BATCH = 2000
_DEVICE = "bench-device"


def issue(file: Path, count: int, used: int) -> None:
    """Create tokens as `access.services` does, but in bulk and free of charge."""
    users = [
        User(email=f"bench-{number}@example.com", username=f"bench-{number}", password="!")
        for number in range(count // _TOKENS_EACH)
    ]
    User.objects.bulk_create(users, batch_size=_BATCH)
    with transaction.atomic():
        for user in users:
            ledger.open_wallet(user)
    secrets = [token_secret.generate() for _ in range(count)]
    tokens = [_token(users[number % len(users)], secret) for number, secret in enumerate(secrets)]
    AccessToken.objects.bulk_create(tokens, batch_size=_BATCH)
    file.write_text("".join(f"{secret} {_DEVICE}\n" for secret in secrets[:used]))


def _token(user: User, secret: str) -> AccessToken:
    now = timezone.now()
    return AccessToken(
        user=user,
        digest=secret_digest(secret),
        ciphertext=token_secret.encrypt(secret),
        scope=Scope.FULL,
        duration_hours=_HOURS,
        cost=0,
        created_at=now,
        expires_at=now + timedelta(hours=_HOURS),
    )


def count() -> int:
    """Return the number of requests in the sessions of the benchmark's device."""
    sessions = ProxySession.objects.filter(device_id=_DEVICE)
    return int(sessions.aggregate(total=Sum("request_count"))["total"] or 0)


if __name__ == "__main__":
    if sys.argv[1] == "issue":
        issue(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        print(count())
