-- depends: 0003.events

-- Records that a stage could not handle. Identity is where the record came from and which
-- stage refused it, so that a stage that dies half-way and refuses it again adds no row;
-- the position in the dead-letter topic is where the whole value is.

CREATE TABLE public.dead_letters (
  topic            text NOT NULL,
  "partition"      integer NOT NULL,
  "offset"         bigint NOT NULL,
  origin_topic     text NOT NULL,
  origin_partition integer NOT NULL,
  origin_offset    bigint NOT NULL,
  origin_index     integer NOT NULL,
  stage            text NOT NULL,
  reason           text NOT NULL,
  detail           text NOT NULL,
  tenant           text NOT NULL,
  source           text NOT NULL,
  time             timestamptz NOT NULL,
  size             bigint NOT NULL,
  value            bytea NOT NULL CHECK (octet_length(value) <= 4096),
  status           text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'replayed', 'discarded')),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, "partition", "offset"),
  UNIQUE (origin_topic, origin_partition, origin_offset, origin_index, stage)
);

COMMENT ON COLUMN public.dead_letters.time IS 'When the record arrived at its own topic.';
COMMENT ON COLUMN public.dead_letters.value IS 'The first 4 KiB at most; size is the whole.';

CREATE INDEX dead_letters_by_status ON public.dead_letters (status, time DESC);

ALTER TABLE public.dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.dead_letters FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.dead_letters USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE ON public.dead_letters TO sentinel_worker;
GRANT SELECT ON public.dead_letters TO sentinel_api;
