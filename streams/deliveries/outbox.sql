-- name: lock
SELECT pg_advisory_xact_lock(hashtext('sentinel.deliveries'));

-- name: insert
INSERT INTO deliveries (
  tenant, id, subscription_id, lane, type, alert_tenant, alert_id, revision, payload, due_at,
  created_at)
SELECT tenant, id, subscription_id, lane, type, alert_tenant, alert_id, revision, payload, due_at,
  $11
FROM unnest(
  $1::text[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::uuid[], $8::bigint[],
  $9::text[], $10::timestamptz[]
) WITH ORDINALITY AS given (
  tenant, id, subscription_id, lane, type, alert_tenant, alert_id, revision, payload, due_at, place)
-- A subscription that was deleted meanwhile is told nothing.
WHERE EXISTS (SELECT FROM subscriptions s
  WHERE s.tenant = given.tenant AND s.id = given.subscription_id FOR KEY SHARE)
ORDER BY place
ON CONFLICT DO NOTHING
RETURNING id;

-- name: escalate
INSERT INTO escalations (tenant, subscription_id, alert_tenant, alert_id, delivery_id, due_at)
SELECT tenant, subscription_id, alert_tenant, alert_id, id, $2::timestamptz
FROM deliveries WHERE tenant = $3 AND id = $1
ON CONFLICT DO NOTHING;
