"""Who may enter and what they may see: roles, passwords, keys, logins, grants, links, and the rule of every route."""
