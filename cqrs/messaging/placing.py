"""Put a record beside others of its partition, in a topic that goes with its own."""

import logging

from cqrs.exceptions import NoSuchPartitionException
from cqrs.messaging.message import OutgoingMessage, Receipt
from cqrs.messaging.ports import Producer

logger = logging.getLogger(__name__)


async def send_beside(producer: Producer, message: OutgoingMessage) -> Receipt:
    """Send `message` to the partition of its number; where there is none, to one that all of its partition share.

    So a command topic that grew before its dead letter topic does not stand still, and the letters of one partition
    stay in order.

    Raises:
        DependencyUnavailableException: the broker did not acknowledge it.
        UnpublishableEventException: the broker refuses it.
    """
    try:
        return await producer.send(message)
    except NoSuchPartitionException as missing:
        if message.partition is None or message.partition < 0:
            raise
        partition = message.partition % missing.partitions
        logger.warning("sent to partition %d; `topics create --add-partitions` makes more: %s", partition, missing)
        return await producer.send(message._replace(partition=partition))
