-- depends: 0019.subscriptions

-- The outbox: what is to be told to a subscription, and what became of it. The id is made of
-- subscription, alert and revision, so writing it again adds nothing; it is the webhook-id.
-- A lane is sent in order of `seq`, one request at a time; writers hold an advisory lock until
-- the commit, so `seq` becomes visible in its own order. Lane -1 is what waits for a digest or
-- for the end of quiet hours, lane -2 is for tests.

CREATE SEQUENCE public.deliveries_seq;

CREATE TABLE public.deliveries (
  tenant          text NOT NULL,
  id              uuid NOT NULL,
  subscription_id uuid NOT NULL,
  seq             bigint NOT NULL DEFAULT nextval('public.deliveries_seq'),
  lane            integer NOT NULL,
  type            text NOT NULL,
  alert_tenant    text NOT NULL,
  alert_id        uuid NOT NULL,
  revision        bigint NOT NULL,
  payload         text NOT NULL,
  state           text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'delivered', 'failed')),
  batch           uuid,
  due_at          timestamptz NOT NULL,
  leased_until    timestamptz,
  step            integer NOT NULL DEFAULT 0,
  attempts        integer NOT NULL DEFAULT 0,
  status          integer,
  error           text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  finished_at     timestamptz,
  PRIMARY KEY (tenant, id),
  FOREIGN KEY (tenant, subscription_id) REFERENCES public.subscriptions ON DELETE CASCADE
);
ALTER SEQUENCE public.deliveries_seq OWNED BY public.deliveries.seq;

COMMENT ON COLUMN public.deliveries.step IS 'Place in the retry schedule; a replay begins anew.';
COMMENT ON COLUMN public.deliveries.attempts IS 'All attempts ever made.';

CREATE INDEX deliveries_pending ON public.deliveries (tenant, subscription_id, lane, seq)
  WHERE state = 'pending';
CREATE INDEX deliveries_log ON public.deliveries (tenant, subscription_id, seq DESC);
CREATE INDEX deliveries_of_alert ON public.deliveries (alert_tenant, alert_id);
CREATE INDEX deliveries_finished ON public.deliveries (finished_at) WHERE state <> 'pending';

CREATE TABLE public.delivery_attempts (
  tenant      text NOT NULL,
  delivery_id uuid NOT NULL,
  attempt     integer NOT NULL,
  at          timestamptz NOT NULL,
  duration_ms integer NOT NULL,
  status      integer,
  error       text NOT NULL,
  response    text NOT NULL,
  PRIMARY KEY (tenant, delivery_id, attempt),
  FOREIGN KEY (tenant, delivery_id) REFERENCES public.deliveries ON DELETE CASCADE
);

ALTER TABLE public.deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.deliveries USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.delivery_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.delivery_attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.delivery_attempts USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE, DELETE ON public.deliveries TO sentinel_worker;
GRANT SELECT, INSERT, DELETE ON public.delivery_attempts TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE ON public.deliveries TO sentinel_api;
GRANT SELECT ON public.delivery_attempts TO sentinel_api;
GRANT USAGE ON SEQUENCE public.deliveries_seq TO sentinel_worker, sentinel_api;
