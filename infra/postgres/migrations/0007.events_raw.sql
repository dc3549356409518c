-- depends: 0006.alerts_by_age

-- An event is kept as the source wrote it, and mapped to OCSF by whoever shows it: half the
-- bytes, a quarter of the work of writing it, and a corrected mapping holds for old events
-- too. Where the raw text cannot be stored as it is (NUL, not UTF-8), `raw` is what could be
-- kept of it and `ocsf` what was made of the whole; so it is for events from before.

ALTER TABLE public.events ADD COLUMN raw text NOT NULL DEFAULT '';
ALTER TABLE public.events ALTER COLUMN ocsf DROP NOT NULL;

COMMENT ON COLUMN public.events.raw IS 'The event as the source wrote it.';
COMMENT ON COLUMN public.events.ocsf IS 'OCSF where it cannot be made from raw, else null.';
