"""Write the settings table of the README; `make docs` runs this, and a test says when it is due."""

from pathlib import Path

from cqrs.config.listing import describe_settings
from service.settings import OrderSettings

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- settings: written by `make docs` -->"
END = "<!-- end of settings -->"


def settings_table() -> str:
    """Return the table of all settings of the service: environment variable, default and effect."""
    settings = describe_settings(OrderSettings.model_construct())
    cells = [(f"`{each.environment}`", each.type, each.default, each.help) for each in settings]
    rows = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in cells]
    return "\n".join(
        ["| environment | type | default | what it does |", "|---|---|---|---|", *(f"| {row} |" for row in rows)]
    )


def main() -> None:
    """Replace the table between the two marks in the README."""
    before, begin, rest = README.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"README.md has lost its marks; put {BEGIN} and {END} where the table belongs")
    README.write_text(f"{before}{BEGIN}\n{settings_table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
