"""Files to Azure Blob Storage, whole, under one name, in the background."""
