-- depends: 0029.rate_counts

-- How far the changes that people made of alerts were told to subscribers: an id of
-- alert_history, whose writers hold the lock of alerts until they commit, so that ids become
-- visible in their order. One row, of no one tenant.
CREATE TABLE public.told_changes (
  tenant text PRIMARY KEY DEFAULT '*',
  seen   bigint NOT NULL
);
INSERT INTO public.told_changes (seen)
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.alert_history_id_seq;

CREATE INDEX alert_history_by_id ON public.alert_history (id);

ALTER TABLE public.told_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.told_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.told_changes USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, UPDATE ON public.told_changes TO sentinel_worker;
GRANT SELECT ON public.alert_history TO sentinel_worker;
