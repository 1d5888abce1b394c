"""Django's database engine for PostgreSQL, with the pool that the thread uses."""

from typing import Any

from django.db.backends.postgresql import base

from zenzefi.common.postgresql import own_pool


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, settings_dict: dict[str, Any], *args: Any, **options: Any) -> None:
        own = own_pool.get()
        if own is not None:
            reserved = {**settings_dict["OPTIONS"]["pool"], "max_size": own.size}
            settings_dict = {**settings_dict, "OPTIONS": {**settings_dict["OPTIONS"], "pool": reserved}}
            self._connection_pools = own.pools
        super().__init__(settings_dict, *args, **options)
