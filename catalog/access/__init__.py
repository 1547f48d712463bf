"""Who may do what: who calls (tokens, keys), and one policy that decides for every part of the lab."""
