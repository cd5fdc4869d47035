"""What the tests of this room share."""

from tests.redis_server import redis_server

__all__ = ["redis_server"]
