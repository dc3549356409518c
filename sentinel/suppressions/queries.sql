-- Row-level security shows and takes the rows of the connection's tenant; '*' is all of them.

-- name: load
SELECT * FROM suppressions
WHERE kind = 'maintenance' OR least(expires, removed_at) > now() - make_interval(days => $1)
ORDER BY id;

-- name: list
SELECT * FROM suppressions
WHERE ($1::text IS NULL OR tenant = $1)
  AND ($2 OR (expires > now() AND (removed_at IS NULL OR removed_at > now())))
ORDER BY created_at DESC, id
LIMIT $3;

-- name: add
INSERT INTO suppressions (tenant, kind, scope, owner, reason, starts, expires, weekly, per_hour,
  per_day, disabled, staged, severity, threshold, learned)
SELECT $1, $2, $3::text::jsonb, $4, $5,
  coalesce(to_timestamp($6::float8 / 1000), now() + make_interval(secs => $11)),
  to_timestamp($7::float8 / 1000), $8::text::jsonb, $9, $10, $12, $13, $14, $15, $16
RETURNING *;

-- name: remove
UPDATE suppressions
SET removed_at = now() + make_interval(secs => $4), removed_by = $3
WHERE id = $1 AND ($2::text IS NULL OR tenant = $2)
  AND (removed_at IS NULL OR removed_at > now() + make_interval(secs => $4))
RETURNING *;

-- name: judged
-- What alerts of the last days turned out to be; $2, $3: of one rule, of one source.
SELECT tenant, rule_id, source, entity, title, disposition, score FROM alerts
WHERE disposition <> '' AND updated_at > now() - make_interval(days => $4)
  AND ($1::text IS NULL OR tenant = $1)
  AND ($2::text IS NULL OR rule_id = $2) AND ($3::text IS NULL OR source = $3)
ORDER BY updated_at DESC
LIMIT 10000;

-- name: learned
-- The tuning that was made of dispositions for a rule of a source.
SELECT * FROM suppressions
WHERE tenant = $1 AND learned AND (removed_at IS NULL OR removed_at > now() + interval '1 minute')
  AND scope -> 'rules' = to_jsonb(ARRAY[$2::text])
  AND scope -> 'sources' = to_jsonb(ARRAY[$3::text])
ORDER BY created_at DESC
LIMIT 1;
