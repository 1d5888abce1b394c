"""A program that checks for PostgreSQL and Redis before the tests that need them. It exits with 1 if one is down."""

import os
import sys

import psycopg
import redis


def main() -> int:
    database, broker = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    try:
        psycopg.connect(database, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        sys.stderr.write(f"PostgreSQL cannot be reached: {error}. Start it, or set DATABASE_URL.\n")
        return 1
    try:
        redis.Redis.from_url(broker, socket_connect_timeout=3).ping()
    except redis.RedisError as error:
        sys.stderr.write(f"Redis cannot be reached: {error}. Start it, or set REDIS_URL.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
