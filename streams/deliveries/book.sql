-- name: stamp
SELECT count(*), coalesce(sum(version), 0) FROM subscriptions;

-- name: all
SELECT tenant, id, name, kind, config, secrets, filter, options, created_at, version, enabled
FROM subscriptions;
