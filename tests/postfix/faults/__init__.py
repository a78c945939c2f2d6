"""A catalogue of what is done wrong to the configuration of a Postfix, as data, by topic."""
