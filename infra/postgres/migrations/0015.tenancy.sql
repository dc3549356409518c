-- depends: 0014.identity

-- What was left between tenants: the ledger, and how long a tenant's rows are kept.

-- The ledger of a stage counts for all tenants in one row, which no policy can cut up. So the
-- API no longer reads it, but what this shows: the counts of the transaction's tenant.
REVOKE SELECT (ledger) ON public.checkpoints FROM sentinel_api;

CREATE FUNCTION public.ledger_rows()
RETURNS TABLE (stage text, tenant text, source text, what text, count bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT row ->> 'stage', row ->> 'tenant', row ->> 'source', name, sum(amount::bigint)::bigint
  FROM public.checkpoints,
    jsonb_array_elements(ledger -> 'rows') AS elements (row),
    jsonb_each_text(row - 'stage' - 'tenant' - 'source') AS counts (name, amount)
  WHERE public.sentinel_tenant() IN ('*', row ->> 'tenant')
  GROUP BY 1, 2, 3, 4
$$;
REVOKE ALL ON FUNCTION public.ledger_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.ledger_rows() TO sentinel_api;

-- Delete what is older than its tenant's own retention; return how many rows. At most
-- `most` events and a tenth as many alerts at a time: the caller waits for it.
CREATE FUNCTION public.tenants_expire(most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whose record;
  deleted bigint;
  total bigint := 0;
BEGIN
  FOR whose IN
    SELECT tenant, retention_days, alert_retention_days FROM public.tenants
    WHERE retention_days IS NOT NULL OR alert_retention_days IS NOT NULL
  LOOP
    DELETE FROM public.events AS e USING (
      SELECT uid, day FROM public.events
      WHERE tenant = whose.tenant AND day < current_date - whose.retention_days
      LIMIT most - total
    ) AS old
    WHERE e.tenant = whose.tenant AND e.uid = old.uid AND e.day = old.day;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    DELETE FROM public.alerts AS a USING (
      SELECT id FROM public.alerts
      WHERE tenant = whose.tenant
        AND last_seen < now() - make_interval(days => whose.alert_retention_days)
      LIMIT most / 10
    ) AS old
    WHERE a.tenant = whose.tenant AND a.id = old.id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    EXIT WHEN total >= most;
  END LOOP;
  RETURN total;
END
$$;
REVOKE ALL ON FUNCTION public.tenants_expire(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.tenants_expire(integer) TO sentinel_worker;
