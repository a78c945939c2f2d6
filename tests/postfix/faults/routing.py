"""Which domains are ours, and where their mail is brought."""

from __future__ import annotations

from tests.postfix.faults.fault import MAIL, fault

_US = "lamson:inet:127.0.0.1:8823"
_LOOPS = "mail loops back to myself: bounced"

FAULTS = (
    fault("our domains are not in relay_domains", "554 Relay access denied", "relay_domains",
          main={"relay_domains": "other.test"}),
    fault("relay_domains leaves one of ours out", "554 Relay access denied", "relay_domains",
          main={"relay_domains": "!lists.test, test"}),
    fault("relay_domains has a misspelt domain", "554 for one of both", "relay_domains",
          main={"relay_domains": "app.test, list.test"}),
    fault("relay_domains is emptied for trivial-rewrite", "User unknown in local recipient table",
          "master-cf-override", override={"rewrite/unix/relay_domains": ""}),
    fault("no transport for our domains", _LOOPS, "transport_maps", main={"transport_maps": ""}),
    fault("another map is asked first", "brought to another server", "transport_maps",
          main={"transport_maps": f"texthash:<etc>/transport, inline:{{app.test={_US}"
                f" lists.test={_US}}}"},
          files={"transport": "app.test smtp:[192.0.2.1]\n"}),
    fault("a table has our domain before ours, through proxymap", "brought to another server",
          "transport_maps",
          main={"transport_maps": f"proxy:texthash:<etc>/other, inline:{{app.test={_US}"
                f" lists.test={_US}}}"},
          files={"other": "lists.test smtp:[192.0.2.1]\n"}),
    fault("a pattern takes all", "brought to another server", "transport_maps",
          main={"transport_maps": f"regexp:{{{{/./ smtp:[192.0.2.1]}}}}, inline:{{app.test={_US}"
                f" lists.test={_US}}}"}),
    fault("trivial-rewrite has no transport_maps", _LOOPS, "master-cf-override",
          override={"rewrite/unix/transport_maps": ""}),
    fault("the port of the next hop is missing", "Connection refused at port 24", "transport_maps",
          main={"transport_maps": "inline:{app.test=lamson:inet:127.0.0.1"
                " lists.test=lamson:inet:127.0.0.1}"}),
    fault("the next hop is that of another server", "Connection refused", "transport_maps",
          main={"transport_maps": "inline:{app.test=lamson:inet:127.0.0.1:8829"
                " lists.test=lamson:inet:127.0.0.1:8829}"}),
    fault("the site's smtp brings our mail", "SMTP to an LMTP server: 500", "transport_maps",
          main={"transport_maps": "inline:{app.test=smtp:[127.0.0.1]:8823"
                " lists.test=smtp:[127.0.0.1]:8823}"}),
    fault("one address goes elsewhere", "brought to another server", "transport-of-address",
          main={"transport_maps": f"texthash:<etc>/transport, inline:{{app.test={_US}"
                f" lists.test={_US}}}"},
          files={"transport": "users@lists.test smtp:[192.0.2.1]\n"}),
    fault("one of several addresses goes elsewhere", "brought to another server",
          "transport-of-address", hashed=("transport",),
          main={"transport_maps": f"inline:{{app.test={_US} lists.test={_US}}},"
                " hash:<etc>/transport"},
          files={"transport": "developers@app.test smtp:[192.0.2.1]\n"}),
    fault("a pattern for a local part goes elsewhere", "brought to another server",
          "transport-of-address",
          main={"transport_maps": f"regexp:{{{{/^users@/ smtp:[192.0.2.1]}}}},"
                f" inline:{{app.test={_US} lists.test={_US}}}"}),
    fault("a domain of ours is local", "User unknown in local recipient table",
          "mydestination-has-ours", main={"mydestination": "app.test, localhost"}),
    fault("a macro makes our domain local", "User unknown in local recipient table",
          "mydestination-has-ours", main={"mydomain": "app.test", "mydestination": "$mydomain"}),
    fault("a table makes our domain local", "User unknown in local recipient table",
          "mydestination-has-ours", main={"mydestination": "texthash:<etc>/local"},
          files={"local": "lists.test x\n"}),
    fault("a domain of ours has virtual mailboxes", "User unknown in virtual mailbox table",
          "virtual_mailbox_domains-has-ours", main={"virtual_mailbox_domains": "lists.test"}),
    fault("a domain of ours has virtual aliases", "User unknown in virtual alias table",
          "virtual_alias_domains-has-ours", main={"virtual_alias_domains": "app.test"}),
    fault("a table has our domain as one of aliases, as virtual(5) once was written",
          "User unknown in virtual alias table", "virtual_alias_domains-has-ours",
          main={"virtual_alias_maps": "texthash:<etc>/virtual"},
          files={"virtual": "app.test anything\n"}),
    fault("our transport is deferred", "stays in the queue", "transport-deferred",
          main={"defer_transports": "lamson"}),
    fault("myorigin is ours", "cron's mail to root bounces", "myorigin-is-ours",
          main={"myorigin": "lists.test"}),
    fault("aliases go round", "unreasonable virtual_alias_maps map nesting: 451",
          "recipient-is-rewritten",
          main={"virtual_alias_maps": "texthash:<etc>/virtual"},
          files={"virtual": "users@lists.test round@elsewhere.test\n"
                 "round@elsewhere.test users@lists.test\n"}),
    fault("a filter of content adds a line at the end of all mail", "signatures break",
          "arrived-otherwise-in", found_by=MAIL),
    fault("a domain of ours is local for trivial-rewrite", "User unknown in local recipient table",
          "mydestination-has-ours", override={"rewrite/unix/mydestination": "lists.test"}),
    fault("a domain of ours has virtual aliases at a service",
          "User unknown in virtual alias table", "virtual_alias_domains-has-ours",
          override={"<world>/virtual_alias_domains": "app.test"}),
    fault("patterns make our domain one of mailboxes", "User unknown in virtual mailbox table",
          "virtual_mailbox_domains-has-ours",
          main={"virtual_mailbox_domains": "regexp:<etc>/boxes"},
          files={"boxes": "/^(lists|other)\\.test$/ OK\n"}),
)  # fmt: skip
