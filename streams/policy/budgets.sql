-- name: tell
-- In the order of the key, or two workers could wait for one another. What is known already and
-- what nobody asks for any more is left out: a row that is not written is not locked either.
INSERT INTO budget_counts AS known (tenant, key, "partition", count, ends)
SELECT tenant, key, "partition", count, to_timestamp(ends / 1000.0)
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[])
  AS given (tenant, key, "partition", count, ends)
WHERE to_timestamp(ends / 1000.0) > now() - interval '1 hour' AND NOT EXISTS (
  SELECT FROM budget_counts AS old
  WHERE old.key = given.key AND old."partition" = given."partition" AND old.count >= given.count)
ORDER BY key, "partition"
ON CONFLICT (key, "partition") DO UPDATE SET count = excluded.count
WHERE excluded.count > known.count;

-- name: known
SELECT key, "partition", count FROM budget_counts WHERE ends > now() - interval '1 hour';

-- name: forget
DELETE FROM budget_counts WHERE ends < now() - interval '2 days';
