"""Small mails on which a reading was wrong once, with their right values, where they are there."""
