-- Row-level security shows and takes the rows of the connection's tenant; '*' is all of them.

-- name: lock
SELECT pg_advisory_xact_lock(hashtext('sentinel.batch_models'));

-- name: versions
SELECT kind, version, about FROM batch_models
WHERE tenant = $1 AND source = $2 AND ($3::text IS NULL OR kind = $3)
ORDER BY kind, version;

-- name: model
SELECT model, sha256 FROM batch_models
WHERE tenant = $1 AND source = $2 AND kind = $3 AND version = $4;

-- name: add
INSERT INTO batch_models (tenant, source, kind, version, about, model, sha256)
SELECT $1, $2, $3,
  (SELECT coalesce(max(version), 0) + 1 FROM batch_models
   WHERE tenant = $1 AND source = $2 AND kind = $3),
  $4::text::jsonb, $5, $6
RETURNING version;

-- name: steps
SELECT tenant, source, kind, version, since FROM batch_model_steps
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR source = $2)
ORDER BY tenant, source, kind, step;

-- name: step
INSERT INTO batch_model_steps (tenant, source, kind, step, version, since)
SELECT $1, $2, $3,
  (SELECT coalesce(max(step), 0) + 1 FROM batch_model_steps
   WHERE tenant = $1 AND source = $2 AND kind = $3),
  $4, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $5;
