"""What is to be known of the Postfix in front."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from lamson.net.endpoint import split_host_port
from lamson.settings.values import Group, OptionalPath, OptionalText


class Postfix(Group):
    """The Postfix in front, for `lamson postfix`: `Postfix(config_directory="/etc/postfix-in")`."""

    config_directory: OptionalPath = Field(
        default=None, description="Where its main.cf is. Default: what postconf(1) itself takes."
    )
    transport: str = Field(
        default="lamson",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="The service of `master.cf` that brings our mail, which `lamson postfix apply` "
        "makes: a name for each application.",
    )
    next_hop: OptionalText = Field(
        default=None,
        description="How it reaches our LMTP server, such as `lamson:inet:[10.0.0.5]:8823`, where "
        "that is not `lmtp.listen`; the name at its begin is that of the service.",
    )
    lookups: OptionalText = Field(
        default=None,
        description="How it reaches our socketmap, such as `inet:10.0.0.5:8824`, where that is not "
        "`socketmap.listen`.",
    )
    smtpd: str = Field(
        default="127.0.0.1:25",
        description="Where it takes mail from the world, for `lamson postfix check`.",
    )

    @field_validator("next_hop")
    @classmethod
    def _check_next_hop(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z][\w-]*:(inet:\S+|unix:\S+)", value):
            raise ValueError("expected lamson:inet:host:port or lamson:unix:path")
        return value

    @field_validator("lookups")
    @classmethod
    def _check_lookups(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(inet:\S+:\d+|unix:\S+)", value):
            raise ValueError("expected inet:host:port or unix:path")
        return value

    @field_validator("smtpd")
    @classmethod
    def _check_smtpd(cls, value: str) -> str:
        split_host_port(value)
        return value
