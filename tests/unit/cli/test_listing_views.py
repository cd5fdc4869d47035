from cqrs.cli.listing_views import settings_list
from cqrs.config.listing import Setting
from tests.unit.cli.rendering import rendered

KEPT = Setting("log_level", "str", "INFO", "LOG_LEVEL", "The least severe level", "INFO")
CHANGED = Setting("cqrs.command.timeout", "float", "30.0", "CQRS__COMMAND__TIMEOUT", "Seconds", "5.0")


def test_every_setting_shows_its_name_value_and_help_and_a_changed_one_its_default() -> None:
    assert rendered(settings_list([KEPT, CHANGED])).splitlines() == [
        "LOG_LEVEL = INFO",
        "    The least severe level",
        "CQRS__COMMAND__TIMEOUT = 5.0",
        "    Seconds; default: 30.0",
    ]


def test_a_long_value_keeps_within_the_width() -> None:
    shown = rendered(settings_list([Setting("a", "str", "", "A", "help " * 40, "z" * 200 + "\x1b")]))

    assert shown.count("z") == 200
    assert "\\x1b" in shown
