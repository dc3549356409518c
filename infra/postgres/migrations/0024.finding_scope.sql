-- depends: 0023.opinions

-- What part of its target a scan covered: one that covers a part resolves only what scans of the
-- same part found. Empty: all of it, or the sender does not say.
ALTER TABLE public.findings ADD COLUMN scope text NOT NULL DEFAULT '';

COMMENT ON COLUMN public.findings.scope IS 'Of the scans that have it; empty once a whole one has.';
