-- name: list
SELECT "partition" || '/' || "offset" AS id, status, stage, reason, detail, tenant, source,
  concat_ws('/', origin_topic, origin_partition, origin_offset, origin_index) AS origin,
  time, size, value
FROM dead_letters
WHERE ($1 = '' OR status = $1) AND ($2 = '' OR reason = $2) AND ($3 = '' OR stage = $3)
  AND ($4 = '' OR source = $4)
ORDER BY time, "partition", "offset";

-- name: find
SELECT "partition" || '/' || "offset" AS id, status, stage, reason, detail, tenant, source,
  concat_ws('/', origin_topic, origin_partition, origin_offset, origin_index) AS origin,
  time, size, value
FROM dead_letters
WHERE "partition" || '/' || "offset" = ANY ($1::text[]);

-- name: mark
UPDATE dead_letters SET status = $2, updated_at = now()
WHERE "partition" || '/' || "offset" = ANY ($1::text[]);
