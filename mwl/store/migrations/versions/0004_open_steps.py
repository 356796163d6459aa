"""Indexes of what is not finished: what a device asks for without a date stays short over the years."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OPEN = "(state NOT IN ('COMPLETED', 'DISCONTINUED', 'CANCELED'))"


def upgrade() -> None:
    op.add_column(
        "step_stations", sa.Column("closed", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    steps, stations = (
        sa.table("steps", sa.column("key"), sa.column("state")),
        sa.table("step_stations", sa.column("step_key"), sa.column("closed", sa.Boolean())),
    )
    finished = sa.select(steps.c.key).where(steps.c.state.in_(["COMPLETED", "DISCONTINUED", "CANCELED"]))
    op.execute(sa.update(stations).where(stations.c.step_key.in_(finished)).values(closed=True))
    _index("ix_step_stations_open", "step_stations", ["ae_title", "start", "step_key"], _not_closed())
    _index("ix_steps_open_modality", "steps", ["modality", "start", "key"], _OPEN)
    _index("ix_steps_open", "steps", ["start", "key"], _OPEN)


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _not_closed() -> str:
    return "closed IS 0" if op.get_bind().dialect.name == "sqlite" else "closed IS false"
