-- depends: 0026.tunings

-- What each credential, address and tenant has used of its rate limit, over all processes of
-- the API, which add what they let through each second (api/identity/rates.py). A window is
-- that of who counted first. Of no one tenant, so seen in the name of all only; not worth a
-- write-ahead log, since a minute later nothing of it matters.
CREATE UNLOGGED TABLE public.rate_counts (
  tenant text NOT NULL DEFAULT '*',
  key    text PRIMARY KEY,
  ends   double precision NOT NULL,
  count  bigint NOT NULL
);

COMMENT ON COLUMN public.rate_counts.ends IS 'Seconds since the epoch; later the row is void.';

ALTER TABLE public.rate_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rate_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.rate_counts USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT, UPDATE, DELETE ON public.rate_counts TO sentinel_api;
