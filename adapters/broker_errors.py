"""What a broker that cannot be used raises. Loads no Celery, because search processes need none."""

from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

#: What Celery raises if the broker does not answer, or closes the connection.
BROKER_AWAY = (KombuError, OperationalError, RedisError, OSError)
