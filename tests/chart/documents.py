"""Write what is made from values.yaml: `python -m tests.chart.documents`; `make docs` runs it."""

from tests.chart import values_schema, values_table


def main() -> None:
    """Write values.schema.json and the tables of the chart's README."""
    values_schema.SCHEMA.write_text(values_schema.render(), "utf-8")
    values_table.write()


if __name__ == "__main__":
    main()
