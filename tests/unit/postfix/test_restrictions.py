"""lamson.postfix.restrictions: lists of restrictions without what asks others."""

from __future__ import annotations

import pytest

from lamson.postfix.restrictions import without_others

POLICY = "check_policy_service"


@pytest.mark.parametrize(
    ("value", "kept", "left_out"),
    [
        ("permit, reject", "permit reject", []),
        ("defer_unauth_destination", "reject_unauth_destination", []),
        (f"{POLICY} unix:private/policy reject", "reject", [f"{POLICY} unix:private/policy"]),
        (f"{POLICY} {{ inet:x:1, y=1 }}, reject", "reject", [f"{POLICY} {{ inet:x:1, y=1 }}"]),
        (POLICY, "", [POLICY]),
        ("warn_if_reject reject_rbl_client a.test, reject", "reject", ["reject_rbl_client a.test"]),
        ("reject_unknown_sender_domain, permit", "permit", ["reject_unknown_sender_domain"]),
        ("reject_unauth_pipelining reject", "reject", []),
        ("reject_unverified_recipient", "", ["reject_unverified_recipient"]),
        ("check_sender_mx_access hash:/x permit", "permit", ["check_sender_mx_access hash:/x"]),
        ("check_recipient_access hash:/x, greylist", "check_recipient_access hash:/x greylist", []),
        ("permit_dnswl_client a.test, sleep 1", "", ["permit_dnswl_client a.test", "sleep 1"]),
    ],
)  # fmt: skip
def test_each_is_taken_out_with_its_argument(value: str, kept: str, left_out: list[str]) -> None:
    assert without_others(value) == (kept, left_out)
