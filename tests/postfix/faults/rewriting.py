"""Addresses of ours that become others, on the way in and out; copies that come to us."""

from __future__ import annotations

from tests.postfix.faults.fault import fault

_ALIASES = {"virtual_alias_maps": "texthash:<etc>/virtual"}

FAULTS = (
    fault("a catch-all alias", "to bob", "virtual-alias-takes-ours", main=_ALIASES,
          files={"virtual": "@lists.test bob@elsewhere.test\n"}),
    fault("a routed address is aliased", "to bob", "recipient-is-rewritten", main=_ALIASES,
          files={"virtual": "users@lists.test bob@elsewhere.test\n"}),
    fault("one of several addresses is aliased", "to bob", "recipient-is-rewritten",
          main={"virtual_alias_maps": "hash:<etc>/virtual"}, hashed=("virtual",),
          files={"virtual": "developers@app.test bob@elsewhere.test\n"}),
    fault("a pattern aliases a routed address", "to bob", "recipient-is-rewritten",
          main={"virtual_alias_maps": "regexp:<etc>/virtual"},
          files={"virtual": "/^(users|postmaster)@/ bob@elsewhere.test\n"}),
    fault("recipient_canonical_maps has an address of ours", "to bob", "recipient-is-rewritten",
          main={"recipient_canonical_maps": "texthash:<etc>/canonical"},
          files={"canonical": "developers@app.test bob@elsewhere.test\n"}),
    fault("a user has moved", "550 5.1.6 User has moved", "relocated-has-ours",
          main={"relocated_maps": "texthash:<etc>/relocated"},
          files={"relocated": "users@lists.test users@elsewhere.test\n"}),
    fault("all senders become one, as for a provider", "From and envelope are me@provider",
          "sender-is-rewritten", main={"sender_canonical_maps": "regexp:<etc>/canonical"},
          files={"canonical": "/.+/ me@provider.test\n"}),
    fault("our senders become others on the way out", "From and envelope are me@provider",
          "sender-is-rewritten", main={"smtp_generic_maps": "texthash:<etc>/generic"},
          files={"generic": "@lists.test me@provider.test\n"}),
    fault("our senders lose what stands before a domain", "answers go to users@test",
          "sender-is-rewritten", main={"masquerade_domains": "!mail.test test"}),
    fault("our recipients lose it, too", "to users@test", "recipient-is-rewritten",
          main={"masquerade_domains": "test", "masquerade_classes": "envelope_recipient"}),
    fault("a canonical map for recipients alone", "to bob", "recipient-is-rewritten",
          main={"canonical_maps": "inline:{users@lists.test=bob@elsewhere.test}",
                "canonical_classes": "envelope_recipient"}),
    fault("all mail is copied to us", "loops", "copies-come-to-us",
          main={"always_bcc": "users@lists.test"}),
    fault("what we send is copied to us", "loops", "copies-come-to-us",
          main={"sender_bcc_maps": "texthash:<etc>/bcc"},
          files={"bcc": "@lists.test users@lists.test\n"}),
    fault("what goes to others is copied to us", "loops", "copies-come-to-us",
          main={"recipient_bcc_maps": "static:users@app.test"}),
)  # fmt: skip
