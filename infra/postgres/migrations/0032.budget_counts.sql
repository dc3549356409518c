-- depends: 0031.batch_models

-- What each partition of signals has let through of each budget of alerts: partitions learn it
-- from one another every two seconds (streams/policy/budgets.py). A count only grows.
CREATE TABLE public.budget_counts (
  tenant      text NOT NULL,
  key         text NOT NULL,
  "partition" integer NOT NULL,
  count       bigint NOT NULL,
  ends        timestamptz NOT NULL,
  PRIMARY KEY (key, "partition")
);

COMMENT ON COLUMN public.budget_counts.key IS 'Budget, tenant, rule, unit and its number since the epoch.';
COMMENT ON COLUMN public.budget_counts.ends IS 'Of the hour or day that is counted.';
CREATE INDEX budget_counts_by_end ON public.budget_counts (ends);

ALTER TABLE public.budget_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.budget_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.budget_counts USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT, UPDATE, DELETE ON public.budget_counts TO sentinel_worker;
