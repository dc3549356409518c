-- name: claim
INSERT INTO checkpoints (stage, topic, "partition", owner)
VALUES ($1, $2, $3, $4)
ON CONFLICT (stage, topic, "partition") DO UPDATE SET owner = excluded.owner, updated_at = now()
RETURNING next_offset, ledger, state;

-- name: save
-- Rows are locked in key order, so that two saves of several positions cannot deadlock.
WITH given AS (
  SELECT * FROM unnest(
    $1::text[], $2::text[], $3::int[], $4::uuid[], $5::bigint[], $6::jsonb[], $7::bytea[]
  ) AS g (stage, topic, "partition", owner, next_offset, ledger, state)
), mine AS (
  SELECT c.stage, c.topic, c."partition"
  FROM checkpoints c JOIN given g USING (stage, topic, "partition")
  WHERE c.owner = g.owner AND coalesce(c.next_offset, 0) <= g.next_offset
  ORDER BY 1, 2, 3
  FOR UPDATE OF c
)
UPDATE checkpoints c
SET next_offset = g.next_offset, ledger = g.ledger, state = coalesce(g.state, c.state),
    updated_at = now()
FROM given g JOIN mine USING (stage, topic, "partition")
WHERE (c.stage, c.topic, c."partition") = (g.stage, g.topic, g."partition")
  AND c.owner = g.owner
RETURNING c.stage, c.topic, c."partition";

-- name: one
SELECT owner, next_offset FROM checkpoints WHERE stage = $1 AND topic = $2 AND "partition" = $3;

-- name: all
SELECT stage, topic, "partition", owner, next_offset, ledger, octet_length(state) AS state_bytes,
  updated_at
FROM checkpoints ORDER BY 1, 2, 3;
