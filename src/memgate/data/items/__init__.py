"""One agreement item: schema, roles, tasks, words."""
