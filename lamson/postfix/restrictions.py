"""Restriction lists of smtpd without what asks other machines, for a copy that is only asked.

For `lamson.postfix.private_copy`. A greylist would remember mail that there never was, a
verification would bother the next server, and lists in DNS know nothing of the configuration.
"""

from __future__ import annotations

from lamson.postfix.configuration import words

LISTS = (
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions",
    "smtpd_relay_restrictions", "smtpd_recipient_restrictions",
)  # fmt: skip
_ALONE = frozenset((
    "permit_mx_backup", "reject_maps_rbl", "reject_unknown_client",
    "reject_unknown_client_hostname", "reject_unknown_forward_client_hostname",
    "reject_unknown_helo_hostname", "reject_unknown_hostname", "reject_unknown_recipient_domain",
    "reject_unknown_reverse_client_hostname", "reject_unknown_sender_domain",
    "reject_unverified_recipient", "reject_unverified_sender",
))  # fmt: skip
_OF_CLIENT = frozenset((
    "reject_multi_recipient_bounce", "reject_plaintext_session", "reject_unauth_pipelining",
))  # fmt: skip
"""What refuses the way in which we ask, whoever the recipient is: left out, and not told."""
_WITH_ARGUMENT = frozenset(("check_policy_service", "reject_rbl", "sleep"))
_WITH_ARGUMENT_FROM = ("reject_rbl_", "reject_rhsbl_", "permit_dnswl_", "permit_rhswl_")
_LOOKED_UP = ("_mx_access", "_ns_access", "_a_access")
_FOR_GOOD = {"defer_unauth_destination": "reject_unauth_destination"}
"""The copy says whether mail is taken; for now or for good is told apart from a failed lookup."""


def without_others(value: str) -> tuple[str, list[str]]:
    """The list without them, and what was left out."""
    kept: list[str] = []
    left_out: list[str] = []
    rest = words(value)
    while rest:
        word = rest.pop(0)
        name = word.lower()
        has_argument = name in _WITH_ARGUMENT or name.startswith(_WITH_ARGUMENT_FROM)
        has_argument = has_argument or (name.startswith("check_") and name.endswith(_LOOKED_UP))
        if not has_argument and name not in _ALONE | _OF_CLIENT:
            kept.append(_FOR_GOOD.get(name, word))
            continue
        argument = [rest.pop(0)] if has_argument and rest else []
        if name not in _OF_CLIENT:
            left_out.append(" ".join([word, *argument]))
        if kept and kept[-1].lower() == "warn_if_reject":
            kept.pop()
    return " ".join(kept), left_out
