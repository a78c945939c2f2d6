"""How well texts are taken apart: clients, languages and styles, beside the parsers of others."""
