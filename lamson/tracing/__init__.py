"""One life of a mail, from Postfix's log, our log and the database: for `lamson trace`."""
