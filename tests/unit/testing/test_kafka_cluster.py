from pathlib import Path

import pytest

from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServerException
from tests.unit.testing.test_kafka_server import JAVA, program, tools

__all__ = ["tools"]


def properties_of(cluster: KafkaCluster) -> list[dict[str, str]]:
    texts = [each._properties.read_text() for each in cluster.brokers]
    return [dict(line.split("=", 1) for line in text.splitlines()) for text in texts]


@pytest.mark.parametrize(
    ("brokers", "copies", "acknowledging"), [(1, "1", "1"), (2, "2", "1"), (3, "3", "2"), (4, "3", "2")]
)
def test_internal_topics_outlive_a_broker_where_they_can(
    tools: Path, tmp_path: Path, brokers: int, copies: str, acknowledging: str
) -> None:
    program(tools, "java", JAVA)
    with KafkaCluster(tmp_path, brokers) as cluster:
        for each in properties_of(cluster):
            assert each["offsets.topic.replication.factor"] == copies
            assert each["transaction.state.log.replication.factor"] == copies
            assert each["transaction.state.log.min.isr"] == each["min.insync.replicas"] == acknowledging


def test_brokers_know_each_other_and_share_no_port(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", JAVA)
    with KafkaCluster(tmp_path) as cluster:
        found = properties_of(cluster)
        ports = [listener.rpartition(":")[2] for each in found for listener in each["listeners"].split(",")]
        folders = [each._folder for each in cluster.brokers]
        assert len(set(ports)) == 6
        assert {each["controller.quorum.voters"] for each in found} == {
            ",".join(each.voter for each in cluster.brokers)
        }
        assert [each["node.id"] for each in found] == ["1", "2", "3"]
        assert cluster.bootstrap_servers.count(":") == 3
    assert not any(each.exists() for each in folders)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_all_end_and_start_again_at_their_addresses(tools: Path, tmp_path: Path, ending: str) -> None:
    program(tools, "java", JAVA)
    with KafkaCluster(tmp_path) as cluster:
        address = cluster.bootstrap_servers
        getattr(cluster, ending)()
        assert [each._process for each in cluster.brokers] == [None] * 3
        cluster.start()
        assert all(each._process is not None for each in cluster.brokers)
        assert cluster.bootstrap_servers == address


def test_one_that_does_not_start_leaves_none_behind(tools: Path, tmp_path: Path) -> None:
    refusing = "if 'format' not in sys.argv and 'node.id=2' in open(sys.argv[-1]).read(): sys.exit('no memory')\n"
    program(tools, "java", refusing + JAVA)
    cluster = KafkaCluster(tmp_path)
    with pytest.raises(KafkaServerException, match="no memory"), cluster:
        pass
    assert [each._process for each in cluster.brokers] == [None] * 3
    assert not any(each._folder.exists() for each in cluster.brokers)
