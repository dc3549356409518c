"""Ways into Azure and Entra ID: Azure Monitor Logs, Microsoft Graph, Event Hubs, storage."""
