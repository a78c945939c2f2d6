"""Stories with the containers of `postfix/`, told from outside: mail in on port 25, mail out."""
