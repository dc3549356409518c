-- depends: 0002.alerts

-- Recent events, one partition a day of arrival: people push old logs, and a day of event
-- time would put those into partitions that retention drops at once. A partition is made
-- when its first event arrives and dropped whole, which costs nothing and leaves no bloat.

CREATE TABLE public.events (
  tenant      text NOT NULL,
  uid         uuid NOT NULL,
  day         date NOT NULL,
  time        timestamptz NOT NULL,
  arrived     timestamptz NOT NULL,
  source      text NOT NULL,
  class_uid   integer NOT NULL,
  activity_id integer NOT NULL,
  status_id   integer NOT NULL,
  severity_id integer NOT NULL,
  entity      text NOT NULL,
  operation   text NOT NULL,
  service     text NOT NULL,
  src_ip      text NOT NULL,
  ocsf        jsonb NOT NULL,
  PRIMARY KEY (uid, tenant, day)
) PARTITION BY RANGE (day);

COMMENT ON COLUMN public.events.day IS 'Day of arrival, UTC, bounded to the days that are kept.';

-- By time for one tenant among many, and for whoever sees all of them. Neither has the uid:
-- PostgreSQL 18 would skip-scan it for a look-up by uid while a partition is small, and the
-- writer must never use another index than the primary key for that.
CREATE INDEX events_by_tenant ON public.events (tenant, time DESC);
CREATE INDEX events_by_time ON public.events (time DESC);
CREATE INDEX events_by_entity ON public.events (entity, time DESC);

ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.events USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT ON public.events TO sentinel_worker;
GRANT SELECT ON public.events TO sentinel_api;

-- Partitions carry no grants: rows are reached through the parent and its policy only.
-- ATTACH, not CREATE … PARTITION OF, because it does not block readers of the parent.
CREATE FUNCTION public.events_partition(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part text := 'events_' || to_char(wanted, 'YYYYMMDD');
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('sentinel.events_partition'));
  IF to_regclass('public.' || part) IS NULL THEN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.events INCLUDING ALL)', part);
    EXECUTE format(
      'ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
      part, wanted, wanted + 1);
  END IF;
END
$$;

-- Drop the partitions of days before `oldest`; return their names. Gives up after two
-- seconds of waiting for a reader (lock_not_available), so that it never blocks the rest.
CREATE FUNCTION public.events_expire(oldest date) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
  part text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('sentinel.events_partition'));
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.events'::regclass
      AND c.relname < 'events_' || to_char(oldest, 'YYYYMMDD')
    ORDER BY 1
  LOOP
    EXECUTE format('DROP TABLE public.%I', part);
    RETURN NEXT part;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION public.events_partition(date), public.events_expire(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.events_partition(date), public.events_expire(date)
  TO sentinel_worker;
