-- depends: 0020.deliveries 0017.alert_work

-- What other systems made of an alert (a ticket of Jira, an incident of ServiceNow), and whom
-- to tell next as long as nobody acknowledges it.

CREATE TABLE public.tickets (
  tenant          text NOT NULL,
  subscription_id uuid NOT NULL,
  alert_tenant    text NOT NULL,
  alert_id        uuid NOT NULL,
  reference       text NOT NULL,
  url             text NOT NULL,
  state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved')),
  created_at      timestamptz NOT NULL DEFAULT now(),
  checked_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, subscription_id, alert_tenant, alert_id),
  FOREIGN KEY (tenant, subscription_id) REFERENCES public.subscriptions ON DELETE CASCADE
);

CREATE INDEX tickets_open ON public.tickets (checked_at) WHERE state = 'open';

CREATE TABLE public.escalations (
  tenant          text NOT NULL,
  subscription_id uuid NOT NULL,
  alert_tenant    text NOT NULL,
  alert_id        uuid NOT NULL,
  delivery_id     uuid NOT NULL,
  step            integer NOT NULL DEFAULT 0,
  due_at          timestamptz NOT NULL,
  PRIMARY KEY (tenant, subscription_id, alert_tenant, alert_id),
  FOREIGN KEY (tenant, subscription_id) REFERENCES public.subscriptions ON DELETE CASCADE,
  FOREIGN KEY (tenant, delivery_id) REFERENCES public.deliveries ON DELETE CASCADE
);

CREATE INDEX escalations_due ON public.escalations (due_at);

ALTER TABLE public.tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.tickets USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.escalations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.escalations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.escalations USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE, DELETE ON public.tickets, public.escalations TO sentinel_worker;
GRANT SELECT ON public.tickets, public.escalations TO sentinel_api;
-- An alert whose ticket somebody resolved over there is resolved here, and its history says so.
GRANT INSERT ON public.alert_history TO sentinel_worker;
