-- depends: 0005.checkpoints

-- The order in which alerts are listed, for whoever sees all tenants.
CREATE INDEX alerts_by_age ON public.alerts (first_seen DESC, id DESC);
