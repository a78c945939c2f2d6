"""Where what we send goes from there."""

from __future__ import annotations

from tests.postfix.faults.fault import fault

_US = "lamson:inet:127.0.0.1:8823"
_OURS = f"inline:{{app.test={_US} lists.test={_US}}}"
_LOST = "gone"

FAULTS = (
    fault("what goes out is deferred", "stays in the queue until it is flushed",
          "transport-deferred", main={"defer_transports": "smtp"}),
    fault("the relayhost is this Postfix", "mail loops back to myself", "mail-loops",
          main={"relayhost": "[127.0.0.1]:<port>"}),
    fault("the relayhost is our submission server", "mail loops back to myself", "mail-loops",
          main={"relayhost": "[127.0.0.1]:10587"}),
    fault("all mail goes to us", "refused by us", "mail-loops", main={"default_transport": _US}),
    fault("all other domains go to us", "refused by us", "mail-loops",
          main={"transport_maps": f"{_OURS}, inline:{{*={_US}}}"}),
    fault("all mail is discarded", _LOST, "outgoing-goes-nowhere",
          main={"default_transport": "discard:"}),
    fault("all mail is an error", "run/undeliverable", "outgoing-goes-nowhere",
          main={"default_transport": "error:no mail to the world"}),
    fault("all other domains are discarded", _LOST, "outgoing-goes-nowhere",
          main={"transport_maps": f"{_OURS}, texthash:<etc>/others"},
          files={"others": "* discard:\n"}),
    fault("a pattern has others deferred", "stays in the queue", "outgoing-goes-nowhere",
          "transport_maps",
          main={"transport_maps": f"{_OURS}, regexp:{{{{/./ retry:not today}}}}"}),
    fault("what our domain sends is discarded", _LOST, "outgoing-goes-nowhere",
          main={"sender_dependent_default_transport_maps": "texthash:<etc>/senders"},
          files={"senders": "@lists.test discard:\n"}),
    fault("what our domain sends goes to this Postfix", "mail loops back to myself", "mail-loops",
          main={"sender_dependent_relayhost_maps": "texthash:<etc>/senders"},
          files={"senders": "@app.test [127.0.0.1]:10587\n"}),
    fault("mail leaves from loopback", "stays in the queue", "outgoing-bind-address",
          main={"smtp_bind_address": "127.0.0.1", "relayhost": "[smart.test]"}),
    fault("every server has to prove who it is", "stays in the queue", "outgoing-tls",
          main={"smtp_tls_security_level": "secure", "relayhost": "",
                "smtp_dns_support_level": "enabled"}),
    fault("no DNS", "past the MX", "outgoing-without-dns", main={"relayhost": ""}),
    fault("no such transport", "stays in the queue", "no-such-transport",
          main={"default_transport": "smtps:"}),
)  # fmt: skip
