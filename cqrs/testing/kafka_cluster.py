"""Several real Apache Kafka brokers for tests that kill one of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cqrs.testing.kafka_server import Cluster, KafkaServer, new_cluster_id
from cqrs.testing.server_block import ServerBlock


class KafkaCluster(ServerBlock):
    """Run brokers that are controllers too; with three, any one may be killed while the others go on.

    Three brokers keep three copies of each topic and acknowledge with two::

        with KafkaCluster(resolve_jars()) as cluster:
            produce(cluster.bootstrap_servers)
            cluster.brokers[0].kill()
            cluster.brokers[0].start()
            cluster.kill()               # all are away
            cluster.start()

    Args:
        jars: A folder with the jars of Kafka and of a logging backend.
        brokers: How many.
    """

    def __init__(self, jars: Path, brokers: int = 3) -> None:
        self.brokers = tuple(KafkaServer(jars, node=number) for number in range(1, brokers + 1))
        cluster = Cluster(new_cluster_id(), tuple(each.voter for each in self.brokers))
        for each in self.brokers:
            each.join(cluster)

    @property
    def bootstrap_servers(self) -> str:
        """Return `host:port,...` of all brokers; the same after every start."""
        return ",".join(each.bootstrap_servers for each in self.brokers)

    @property
    def has_majority_with_one_more(self) -> bool:
        """Say whether a broker that is started now finds the others that it waits for."""
        return 2 * (sum(each.is_running for each in self.brokers) + 1) > len(self.brokers)

    def start(self) -> None:
        """Start every broker that does not run, at once: the first ones wait for a majority.

        Raises:
            KafkaServerException: one did not start in time.
        """
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            for started in [pool.submit(each.start) for each in self.brokers]:
                started.result()

    def stop(self) -> None:
        """Stop every broker in order, its data kept; harmless when none runs."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(KafkaServer.stop, self.brokers))

    def kill(self) -> None:
        """Kill every broker as a power cut does, its data kept; harmless when none runs."""
        for each in self.brokers:
            each.kill()

    def close(self) -> None:
        """Kill every broker and delete its data."""
        for each in self.brokers:
            each.close()
