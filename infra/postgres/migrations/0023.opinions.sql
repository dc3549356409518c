-- depends: 0022.dashboards

-- What services outside say of the addresses, names and hashes in an alert. A row is a question
-- about one alert; an answer goes to all that ask the same, and is the cache until it expires.

CREATE TABLE public.opinions (
  tenant     text NOT NULL,
  alert_id   uuid NOT NULL,
  service    text NOT NULL,
  kind       text NOT NULL,
  value      text NOT NULL,
  state      text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'answered', 'failed')),
  due_at     timestamptz NOT NULL DEFAULT now(),
  attempts   integer NOT NULL DEFAULT 0,
  asked_at   timestamptz,
  expires_at timestamptz,
  said       text NOT NULL DEFAULT '',
  malicious  boolean,
  link       text NOT NULL DEFAULT '',
  error      text NOT NULL DEFAULT '',
  told       boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, alert_id, service, kind, value),
  FOREIGN KEY (tenant, alert_id) REFERENCES public.alerts ON DELETE CASCADE
);

COMMENT ON COLUMN public.opinions.due_at IS 'When to ask; while somebody asks, when to ask again.';
COMMENT ON COLUMN public.opinions.malicious IS 'Null: the service does not say.';
COMMENT ON COLUMN public.opinions.told IS 'Subscribers know of the answer.';

CREATE INDEX opinions_pending ON public.opinions (service, due_at) WHERE state = 'pending';
CREATE INDEX opinions_cache ON public.opinions (service, kind, value, expires_at);
CREATE INDEX opinions_untold ON public.opinions (tenant, alert_id)
  WHERE NOT told AND state = 'answered';

-- Where each service is with its quota, which is the installation's: tenant '*', that of workers.
-- The row without a service holds how far alerts were looked through.
CREATE TABLE public.opinion_services (
  tenant   text NOT NULL DEFAULT '*',
  service  text NOT NULL,
  next_at  timestamptz NOT NULL DEFAULT 'epoch',
  day      date NOT NULL DEFAULT 'epoch',
  asked    integer NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0,
  reason   text NOT NULL DEFAULT '',
  seen     bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, service)
);

COMMENT ON COLUMN public.opinion_services.next_at IS 'Nothing is asked before: rate or pause.';
COMMENT ON COLUMN public.opinion_services.asked IS 'Requests on `day`, UTC.';

ALTER TABLE public.opinions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.opinions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.opinions USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.opinion_services ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.opinion_services FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.opinion_services USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE ON public.opinions, public.opinion_services TO sentinel_worker;
GRANT SELECT ON public.opinions TO sentinel_api;
