"""Orders and their items.

A database of a release before migrations has these tables already, and keeps them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go one step forward."""
    _orders()
    _items()


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), primary_key=True),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True)),
        sa.Column("cancel_reason", sa.Text()),
        if_not_exists=True,
    )
    op.create_index(
        "orders_of_customer",
        "orders",
        ["customer_id", sa.text("created_at DESC"), "order_id"],
        if_not_exists=True,
    )


def _items() -> None:
    op.create_table(
        "order_items",
        sa.Column("order_id", sa.Text(), sa.ForeignKey("orders.order_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name="order_items_quantity"),
        sa.CheckConstraint("unit_price_cents >= 0", name="order_items_unit_price"),
        if_not_exists=True,
    )
