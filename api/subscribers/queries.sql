-- name: columns
s.tenant, s.id, s.name, s.kind, s.config, s.filter, s.options, s.enabled, s.disabled_reason,
s.created_at, s.updated_at, s.succeeded_at, s.failing_since, (
  SELECT count(*) FROM (
    SELECT FROM deliveries d
    WHERE d.tenant = s.tenant AND d.subscription_id = s.id AND d.state = 'pending' LIMIT 100000
  ) AS p) AS pending

-- name: list
SELECT {columns} FROM subscriptions s
WHERE (s.kind = 'webhook') = $1 AND ($2::text IS NULL OR s.tenant = $2)
  AND ($3::text IS NULL OR (s.tenant, s.name) > ($3, $4::text))
ORDER BY s.tenant, s.name
LIMIT $5;

-- name: one
SELECT {columns}, s.secrets FROM subscriptions s
WHERE s.id = $1 AND (s.kind = 'webhook') = $2 AND ($3::text IS NULL OR s.tenant = $3);

-- name: lock
SELECT FROM subscriptions WHERE id = $1 FOR UPDATE;

-- name: names
SELECT name FROM subscriptions WHERE tenant = $1;

-- name: insert
INSERT INTO subscriptions (
  tenant, id, name, kind, config, secrets, filter, options, concurrency, batch_size, enabled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: update
UPDATE subscriptions
SET name = $3, config = $4, secrets = $5, filter = $6, options = $7, concurrency = $8,
  batch_size = $9, enabled = $10, disabled_reason = CASE WHEN $10 THEN '' ELSE disabled_reason END,
  failing_since = CASE WHEN $10 THEN NULL ELSE failing_since END,
  updated_at = now(), version = nextval('public.subscriptions_version')
WHERE tenant = $1 AND id = $2;

-- name: lanes
-- What waits goes by the new options: in the lane that it would have now, and not held back.
UPDATE deliveries
SET lane = ('x' || right(alert_id::text, 4))::bit(16)::int % $3,
  due_at = CASE WHEN lane = -1 THEN now() ELSE due_at END
WHERE tenant = $1 AND subscription_id = $2 AND state = 'pending' AND lane >= -1;

-- name: delete
DELETE FROM subscriptions WHERE tenant = $1 AND id = $2;

-- name: ping
INSERT INTO deliveries (
  tenant, id, subscription_id, lane, type, alert_tenant, alert_id, revision, payload, due_at)
VALUES ($1, $2, $3, -2, 'sentinel.ping', $1, $2, 0, $4, now());

-- name: delivery_columns
d.id, d.type, d.state, d.alert_id, d.revision, d.attempts, d.status, d.error, d.created_at,
d.due_at, d.finished_at, d.seq

-- name: deliveries
SELECT {delivery_columns} FROM deliveries d
WHERE d.tenant = $1 AND d.subscription_id = $2 AND ($3::text IS NULL OR d.state = $3)
  AND ($4::uuid IS NULL OR d.alert_id = $4) AND ($5::bigint IS NULL OR d.seq < $5)
ORDER BY d.seq DESC
LIMIT $6;

-- name: delivery
SELECT {delivery_columns}, d.payload FROM deliveries d
WHERE d.tenant = $1 AND d.subscription_id = $2 AND d.id = $3;

-- name: attempts
SELECT attempt, at, duration_ms, status, error, response FROM delivery_attempts
WHERE tenant = $1 AND delivery_id = $2 ORDER BY attempt DESC LIMIT 100;

-- name: replay
UPDATE deliveries
SET state = 'pending', step = 0, due_at = now(), finished_at = NULL, leased_until = NULL
WHERE tenant = $1 AND subscription_id = $2
  AND ($3::uuid[] IS NULL OR id = ANY ($3))
  AND ($4::text IS NULL OR state = $4)
  AND ($5::timestamptz IS NULL OR created_at >= $5)
  AND ($6::timestamptz IS NULL OR created_at < $6)
  AND (state <> 'pending' OR leased_until IS NULL OR leased_until < now());
