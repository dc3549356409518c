"""Fetching what look-ups need: indicators from TAXII servers, into the folder of look-ups."""
