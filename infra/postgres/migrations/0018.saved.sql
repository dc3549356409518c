-- depends: 0017.alert_work 0011.incidents

-- Searches that people keep.
CREATE TABLE public.saved_searches (
  tenant     text NOT NULL,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  owner      text NOT NULL,
  name       text NOT NULL,
  subject    text NOT NULL CHECK (subject IN ('alerts', 'events')),
  query      text NOT NULL,
  shared     boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, id),
  UNIQUE (tenant, owner, name)
);
ALTER TABLE public.saved_searches ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.saved_searches FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.saved_searches USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT, UPDATE, DELETE ON public.saved_searches TO sentinel_api;

-- Findings that somebody accepts until a day: one by its uid, or all of a rule, on one target or
-- everywhere. A row is ended, never removed.
CREATE TABLE public.finding_exceptions (
  tenant     text NOT NULL,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  tool       text NOT NULL DEFAULT '',
  uid        uuid,
  rule       text NOT NULL DEFAULT '',
  target     text NOT NULL DEFAULT '',
  owner      text NOT NULL CHECK (owner <> ''),
  reason     text NOT NULL CHECK (reason <> ''),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires    timestamptz NOT NULL,
  ended_at   timestamptz,
  ended_by   text,
  PRIMARY KEY (tenant, id),
  CHECK (uid IS NOT NULL OR rule <> '' OR target <> '')
);
COMMENT ON COLUMN public.finding_exceptions.tool IS '''''  is any; so are empty rule and target.';
CREATE INDEX finding_exceptions_by_end ON public.finding_exceptions (tenant, expires);
ALTER TABLE public.finding_exceptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.finding_exceptions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.finding_exceptions USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT ON public.finding_exceptions TO sentinel_api;
GRANT UPDATE (ended_at, ended_by) ON public.finding_exceptions TO sentinel_api;

-- People may change what an incident is, not what it is made of.
ALTER TABLE public.incidents
  ADD COLUMN version  integer NOT NULL DEFAULT 0,
  ADD COLUMN assignee text NOT NULL DEFAULT '';
GRANT UPDATE (status, assignee, version, revision, updated_at) ON public.incidents TO sentinel_api;
GRANT USAGE ON SEQUENCE public.incidents_seq TO sentinel_api;
