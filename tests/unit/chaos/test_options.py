import pytest

from cqrs.testing.crash_points import CrashPoint
from tests.chaos import options
from tests.chaos.kill9_matrix import POINTS, RANDOM, Matrix
from tests.chaos.prove import PROOFS, mutation_named


def test_the_full_length_is_what_was_promised() -> None:
    chosen = options.parse([])

    assert chosen.scenarios == ["kill9_matrix", "rebalance_storm", "sigterms", "broker_bounce", "soak"]
    matrices = options.matrices(chosen)
    assert [each.seed for each in matrices] == list(range(1, 21))
    assert {each.commands for each in matrices} == {10_000}
    storm = options.storm(chosen)
    assert (storm.members, storm.partitions, storm.records, storm.change_seconds) == (12, 80, 500_000, 0.5)
    assert options.stops(chosen).stops == 100
    assert options.bounce(chosen).rounds >= 1
    assert options.soaking(chosen).seconds == 1_200


def test_a_short_run_leaves_the_soak_out_and_has_every_point() -> None:
    chosen = options.parse(["--short"])

    assert "soak" not in chosen.scenarios
    (matrix,) = options.matrices(chosen)
    assert set(CrashPoint) <= set(matrix.at)


def test_one_seed_and_one_point_are_run_alone() -> None:
    chosen = options.parse(["kill9_matrix", "--seed", "7", "--at", "acked"])
    (matrix,) = options.matrices(chosen)

    assert chosen.scenarios == ["kill9_matrix"]
    assert matrix.seed == 7
    assert set(matrix.at) == {"acked"}


def test_some_seeds_are_on_postgresql_unless_one_database_is_asked_for() -> None:
    assert sum(options.is_on_postgres(options.parse([]), seed) for seed in range(1, 21)) == 4
    assert options.is_on_postgres(options.parse(["--database", "postgres"]), 1)
    assert not options.is_on_postgres(options.parse(["--database", "sqlite"]), 5)


@pytest.mark.parametrize("more", [[], ["--short"], ["--short", "--seed", "3", "--records", "900", "--rounds", "2"]])
def test_the_line_that_runs_it_again_runs_the_same(more: list[str]) -> None:
    chosen = options.parse(more)

    storm, bounce, stops = options.storm(chosen), options.bounce(chosen), options.stops(chosen)
    assert options.storm(options.parse(storm.again.split())) == storm
    assert options.bounce(options.parse(bounce.again.split())) == bounce
    assert options.stops(options.parse(stops.again.split())) == stops
    assert options.soaking(options.parse(options.soaking(chosen).again.split())) == options.soaking(chosen)


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
@pytest.mark.parametrize("seed", ["1", "5"])
@pytest.mark.parametrize("more", [[], ["--short"], ["--at", "acked,random"], ["--short", "--at", "polled"]])
def test_a_seed_runs_again_on_the_database_that_it_ran_on(database: str, seed: str, more: list[str]) -> None:
    (matrix,) = options.matrices(options.parse(["kill9_matrix", "--seed", seed, *more]))

    again = options.parse(matrix.again(database).split())

    assert options.matrices(again) == [matrix]
    assert options.is_on_postgres(again, matrix.seed) == (database == "PostgreSQL")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4-1", "the first seed, 4, is above the last one, 1"),
        ("four", "four is no seed"),
        ("1-4-7", "1-4-7 is no seed"),
    ],
)
def test_seeds_that_are_none_are_refused(text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(["kill9_matrix", "--seed", text])

    assert f"--seed: {words}; write 7, or 1-4" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["--at", "nowhere"], ["--records", "0"]])
def test_what_is_not_there_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)

    assert "usage:" in capsys.readouterr().err


def test_every_seed_dies_at_every_point_and_always_at_the_same_passages() -> None:
    for seed in range(1, 21):
        deaths = Matrix(seed).deaths()
        assert deaths == Matrix(seed).deaths()
        assert sorted(each.partition(":")[0] for each in deaths) == sorted(POINTS)
        assert all(each == RANDOM or int(each.partition(":")[2]) >= 1 for each in deaths)


def test_every_proof_breaks_what_the_mutations_know() -> None:
    for proof in PROOFS:
        assert mutation_named(proof.mutation).name == proof.mutation
        assert options.parse(proof.arguments.split()).scenarios
