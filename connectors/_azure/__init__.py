"""What the sources of Azure and Entra ID share: spellings, OCSF objects, and ways in.

The same event reaches people in several spellings: as the REST or Graph API answers it, as
diagnostic settings write it to Event Hubs and storage (an envelope with ``properties``), and
as the columns of a table of Azure Monitor Logs. Every mapping here understands all of them;
`connectors._azure.reading` holds the readers.
"""
