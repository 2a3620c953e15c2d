"""An Azure Service Bus worker: receive, work, send on, settle."""
