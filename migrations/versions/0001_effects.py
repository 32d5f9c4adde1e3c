"""Effects and idempotency keys.

`effects` has no unique constraint on purpose: an effect that was written twice must be visible, not masked.
`idempotency_keys` is what makes a key execute once.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create both tables and the two indexes by which a run is reconciled."""
    op.create_table(
        "effects",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("color", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    )
    # text_pattern_ops: a run's requests share a prefix, and LIKE 'prefix%' uses the index in any collation.
    op.create_index("effects_request_id", "effects", ["request_id"], postgresql_ops={"request_id": "text_pattern_ops"})
    op.create_index("effects_idempotency_key", "effects", ["idempotency_key"])
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("answer", JSONB, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    )


def downgrade() -> None:
    """Drop both tables with all that is in them."""
    op.drop_table("idempotency_keys")
    op.drop_table("effects")
