"""Where records come from and go to: files, inboxes and sinks of the world outside."""
