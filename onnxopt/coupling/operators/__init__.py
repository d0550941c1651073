"""Which axes an operator couples: one row an operator, a file for each kind."""
