"""What must hold between the objects of the chart, and between them and the service: one function, one rule.

Each takes what was rendered from one values file, and yields a sentence for each thing that is wrong.
"""

from collections.abc import Iterable

from tests.chart.rendering import Rendered
from tests.chart.rules.jobs import hooks_read_nothing_of_ours, jobs_fit_the_values
from tests.chart.rules.kafka import rights_are_exact, topics_are_made_as_the_service_asks
from tests.chart.rules.objects import Rule
from tests.chart.rules.scaling import lag_is_that_of_the_service, replicas_have_one_owner
from tests.chart.rules.security import (
    files_are_mounted,
    network_lets_through_what_is_needed,
    nothing_secret_is_written,
    pods_are_restricted,
)
from tests.chart.rules.settings import config_is_not_overruled, names_are_settings
from tests.chart.rules.workload import (
    grace_is_longer_than_the_drain,
    image_is_the_one_given,
    labels_are_complete,
    members_are_static_in_a_set,
    ports_are_open,
    rollout_keeps_capacity,
    selectors_select,
    settings_change_restarts,
    variables_come_before_their_use,
)

__all__ = ["RULES", "Rule", "broken"]

RULES: tuple[Rule, ...] = (
    selectors_select,
    ports_are_open,
    hooks_read_nothing_of_ours,
    jobs_fit_the_values,
    grace_is_longer_than_the_drain,
    replicas_have_one_owner,
    lag_is_that_of_the_service,
    names_are_settings,
    config_is_not_overruled,
    settings_change_restarts,
    rollout_keeps_capacity,
    pods_are_restricted,
    nothing_secret_is_written,
    files_are_mounted,
    network_lets_through_what_is_needed,
    labels_are_complete,
    image_is_the_one_given,
    topics_are_made_as_the_service_asks,
    rights_are_exact,
    members_are_static_in_a_set,
    variables_come_before_their_use,
)
"""Every rule."""


def broken(rendered: Rendered, rules: Iterable[Rule] = RULES) -> list[str]:
    """Return what is wrong, a line for each, with the values file and the rule that says so."""
    return [f"{rendered.case}: {rule.__name__}: {problem}" for rule in rules for problem in rule(rendered)]
