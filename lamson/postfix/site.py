"""The site: one project and the Postfix in front of it, read once.

For `plan`, `apply` and `check`, whose questions are functions of it. It is a value: what it says
does not change, so that whoever has written to the configuration reads it again, and may compare
the two. It can be made of texts alone; only its ``maps`` may start a process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from lamson.postfix.configuration import Configuration, Service
    from lamson.postfix.maps import Maps
    from lamson.postfix.mending import Mending
    from lamson.postfix.postconf import Postconf
    from lamson.routing.domains import Domains
    from lamson.routing.router import Router
    from lamson.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Site:
    """``directory`` is where `lamson postfix maps` writes, for a project without a socketmap;
    ``mend`` are the commands that change this configuration."""

    settings: Settings
    router: Router
    domains: Domains
    directory: Path
    configuration: Configuration
    maps: Maps
    mend: Mending

    @classmethod
    def read(
        cls,
        settings: Settings,
        router: Router,
        domains: Domains,
        directory: Path,
        postconf: Postconf,
    ) -> Site:
        """As it is now. Raises LamsonError where the configuration cannot be read."""
        configuration = postconf.read()
        maps, mend = postconf.maps(), postconf.mend
        return cls(settings, router, domains, directory, configuration, maps, mend)

    def again(self, postconf: Postconf) -> Site:
        """The same project, and the configuration as it is now."""
        return replace(self, configuration=postconf.read(), maps=postconf.maps())

    @property
    def services(self) -> Mapping[str, Service]:
        """The entries of master.cf, by ``name/type``."""
        return self.configuration.services

    @property
    def smtpds(self) -> Sequence[Service]:
        """The services that take mail by SMTP."""
        return [one for one in self.services.values() if one.program == "smtpd"]

    def value(self, name: str) -> str | None:
        """The effective value, ``$`` expanded; None where this Postfix has no such parameter."""
        return self.configuration.values.get(name)

    def get(self, name: str) -> str:
        """The same, and nothing where there is no such parameter."""
        return self.configuration.values.get(name, "")

    def written(self, name: str) -> dict[str, str]:
        """Each item of a list as it is written, macros and all, by what it is expanded; nothing
        where a macro stands for several."""
        configuration = self.configuration
        usual = configuration.defaults.get(name, "")
        as_written = words(configuration.explicit.get(name, usual))
        there = words(self.get(name))
        is_clear = len(as_written) == len(there)
        return dict(zip(there, as_written, strict=True)) if is_clear else {}

    def leave_out(self, name: str, item: str) -> str:
        """How a list of main.cf comes to be without the item; what stays is left as it is written:
        what is expanded has lost its macros, and each ``$$`` in it a dollar."""
        listed = self.written(name)
        if item not in listed:
            return f"by hand: take {item} out of what {name} names"
        return self.mend.leave_out(name, listed.values(), listed[item])

    def effective(self, service: Service | None, name: str) -> str:
        """What the service has for the parameter: its own value, else that of main.cf."""
        own = service.options.get(name) if service else None
        return self.get(name) if own is None else own.strip()

    def answers(
        self, table: str, domain: str, keys: Callable[[str], Iterable[str]]
    ) -> Mapping[str, str]:
        """What the table has for the ``keys`` of a domain; what it does not have is left out.

        It is asked about all our domains at once, so that the next one costs nothing.
        """
        ours = (key for one in self.domains.listed for key in keys(one))
        return self.maps.answers(table, list(keys(domain)), ours)

    def lookup(self, maps: Iterable[str], domain: str) -> str | None:
        """What these maps say of an address in the domain, as transport(5) has it; None: nothing.

        Any of them is asked about the address before the first is asked about the domain.
        """
        maps = list(maps)
        for key in _address_and_domain(domain):
            for one in maps:
                if found := self.answers(one, domain, _address_and_domain).get(key):
                    return found
        return None


def _address_and_domain(domain: str) -> tuple[str, str]:
    return f"lamson-check@{domain}", domain
