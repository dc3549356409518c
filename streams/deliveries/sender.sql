-- name: heads
-- The first delivery of each lane that is due and that nobody has; lanes are few, and each is
-- looked up by index. A batch is due too once it is full. The rows are locked only after they
-- were found, so that whoever comes second takes nothing, rather than the second of the lane.
WITH heads AS MATERIALIZED (
  SELECT s.tenant, h.id
  FROM subscriptions s
  CROSS JOIN LATERAL generate_series(-2, s.concurrency - 1) AS l (lane)
  CROSS JOIN LATERAL (
    SELECT d.id, d.due_at, d.leased_until, d.step FROM deliveries d
    WHERE d.tenant = s.tenant AND d.subscription_id = s.id AND d.lane = l.lane
      AND d.state = 'pending'
    ORDER BY d.seq LIMIT 1) AS h
  WHERE s.enabled AND s.id = ANY ($3::uuid[]) AND (h.leased_until IS NULL OR h.leased_until <= $1)
  AND (h.due_at <= $1 OR (
    l.lane >= 0 AND h.step = 0 AND s.batch_size > 1 AND EXISTS (
      SELECT FROM deliveries d
      WHERE d.tenant = s.tenant AND d.subscription_id = s.id AND d.lane = l.lane
        AND d.state = 'pending'
      OFFSET s.batch_size - 1)))
  ORDER BY h.due_at
  LIMIT $2
)
SELECT d.tenant, d.id, d.subscription_id, d.lane, d.batch
FROM deliveries d JOIN heads h USING (tenant, id)
WHERE d.state = 'pending' AND (d.leased_until IS NULL OR d.leased_until <= $1)
ORDER BY d.seq
FOR UPDATE OF d SKIP LOCKED;

-- name: lease
-- What goes out with the head $2: itself, or the batch that it was in, or a new batch, of which
-- the payloads and the commas between them are at most $10 bytes, or one alone.
WITH waiting AS (
  SELECT d.tenant, d.id, d.seq, octet_length(d.payload) + 1 AS size FROM deliveries d
  WHERE d.tenant = $1 AND d.subscription_id = $3 AND d.lane = $4 AND d.state = 'pending'
    AND CASE WHEN $5::uuid IS NOT NULL THEN d.batch = $5
        WHEN $6::int = 1 THEN d.id = $2
        ELSE d.batch IS NULL AND (d.lane >= 0 OR d.due_at <= $8 OR d.id = $2) END
  ORDER BY d.seq
  LIMIT CASE WHEN $5::uuid IS NULL THEN $6 ELSE 500 END
), members AS (
  SELECT tenant, id FROM (
    SELECT tenant, id, size, sum(size) OVER (ORDER BY seq) AS total FROM waiting) AS w
  WHERE $5::uuid IS NOT NULL OR total <= $10 OR total = size
), leased AS (
  UPDATE deliveries d
  SET leased_until = $7, batch = coalesce(d.batch, $9::uuid)
  FROM members m WHERE (d.tenant, d.id) = (m.tenant, m.id)
  RETURNING d.id, d.seq, d.type, d.payload, d.step, d.attempts, d.alert_tenant, d.alert_id,
    d.created_at, d.batch
)
SELECT l.*, t.reference FROM leased l
LEFT JOIN tickets t ON t.tenant = $1 AND t.subscription_id = $3
  AND t.alert_tenant = l.alert_tenant AND t.alert_id = l.alert_id
ORDER BY l.seq;

-- name: record
-- Of the message $2, $3: what became of it, the attempt, and when its subscription last heard.
WITH done AS (
  UPDATE deliveries
  SET state = $4, due_at = coalesce($5, due_at), step = $6, attempts = attempts + 1, status = $7,
    error = $8, leased_until = NULL,
    finished_at = CASE WHEN $4 = 'pending' THEN NULL ELSE $9::timestamptz END
  WHERE tenant = $1 AND id = ANY ($2::uuid[]) AND state = 'pending' AND leased_until = $3
  RETURNING id, attempts
), attempt AS (
  INSERT INTO delivery_attempts (
    tenant, delivery_id, attempt, at, duration_ms, status, error, response)
  SELECT $1, id, attempts, $9, $10, $7, $8, $11 FROM done
  ON CONFLICT DO NOTHING
), heard AS (
  UPDATE subscriptions
  SET succeeded_at = CASE WHEN $8 = '' THEN $9::timestamptz ELSE succeeded_at END,
    failing_since = CASE WHEN $8 = '' THEN NULL ELSE $9::timestamptz END
  WHERE tenant = $1 AND id = $12 AND EXISTS (SELECT FROM done)
    AND CASE WHEN $8 = '' THEN failing_since IS NOT NULL OR succeeded_at IS NULL
      OR succeeded_at < $9::timestamptz - interval '10 s' ELSE failing_since IS NULL END
)
SELECT count(*) FROM done;

-- name: dead
SELECT succeeded_at IS NULL OR succeeded_at < $3 FROM subscriptions WHERE tenant = $1 AND id = $2;

-- name: disable
UPDATE subscriptions
SET enabled = false, disabled_reason = $3, updated_at = $4,
  version = nextval('public.subscriptions_version')
WHERE tenant = $1 AND id = $2 AND enabled;

-- name: ticket
INSERT INTO tickets (
  tenant, subscription_id, alert_tenant, alert_id, reference, url, created_at, checked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (tenant, subscription_id, alert_tenant, alert_id)
DO UPDATE SET reference = excluded.reference, url = excluded.url;

-- name: ticket_over
UPDATE tickets SET state = 'resolved'
WHERE tenant = $1 AND subscription_id = $2 AND alert_tenant = $3 AND alert_id = $4;

-- name: purge
DELETE FROM deliveries WHERE (tenant, id) IN (
  SELECT tenant, id FROM deliveries
  WHERE state <> 'pending' AND finished_at < $1 ORDER BY finished_at LIMIT 10000);
