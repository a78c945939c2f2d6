"""What is done to a configuration and is well: of none of it may the doctor say a word."""

from __future__ import annotations

from tests.postfix.faults.fault import fault

_US = "lamson:inet:127.0.0.1:8823"
_OURS = f"inline:{{app.test={_US} lists.test={_US}}}"
_MILTER = "{ inet:<milter>, default_action=tempfail }"

HEALTHY = (
    fault("as apply leaves it", ""),
    fault("as apply leaves it, with filters", "", base="filters"),
    fault("as apply leaves it, with a login", "", base="login"),
    fault("as apply leaves it, with tables", "", base="tables"),
    fault("as apply leaves it, with unix sockets", "", base="unix"),
    fault("a smarthost with a login", "", main={
        "relayhost": "[smtp.provider.test]:587", "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": "texthash:<etc>/sasl", "smtp_tls_security_level": "encrypt",
        "smtp_sasl_security_options": "noanonymous"},
        files={"sasl": "[smtp.provider.test]:587 me:secret\n"}),
    fault("the world directly, with DANE", "", main={
        "relayhost": "", "smtp_tls_security_level": "dane", "smtp_dns_support_level": "dnssec"}),
    fault("what is asked of strangers and not of our submission", "", main={
        "smtpd_helo_restrictions": "check_helo_access texthash:<etc>/spoofed",
        "smtpd_sender_restrictions": "check_sender_access texthash:<etc>/spoofed",
        "smtpd_data_restrictions": "reject_multi_recipient_bounce",
        "smtpd_reject_unlisted_sender": "yes"},
        files={"spoofed": "<host> REJECT\nlists.test REJECT spoofed\n"}),
    fault("canonical and generic maps of others", "", main={
        "canonical_maps": "texthash:<etc>/names", "smtp_generic_maps": "texthash:<etc>/names",
        "sender_canonical_maps": "regexp:{{/^root@/ admin@company.test}}",
        "masquerade_domains": "company.test !mail.company.test",
        "local_header_rewrite_clients": "static:all", "always_add_missing_headers": "yes",
        "remote_header_rewrite_domain": "domain.invalid"},
        files={"names": "ann ann.smith@company.test\n@old.test @company.test\n"}),
    fault("aliases of others, and of ours to ours", "", main={
        "virtual_alias_domains": "virtual.test",
        "virtual_alias_maps": "texthash:<etc>/virtual, regexp:{{/^postmaster@virtual/ root}}"},
        files={"virtual": "ann@virtual.test ann@elsewhere.test\n"
               "info@lists.test users@lists.test\n"
               "users@lists.test users@lists.test, archive@company.test\n"}),
    fault("a canonical map of headers alone, and masquerading that leaves us out", "", main={
        "canonical_maps": "texthash:<etc>/names", "canonical_classes": "header_recipient",
        "masquerade_domains": "!lists.test !app.test test"},
        files={"names": "users@lists.test lists@company.test\n"}),
    fault("this machine by its name", "", base="filters", main={
        "smtpd_milters": "{ inet:localhost:8825, default_action=tempfail }",
        "transport_maps": "inline:{app.test=lamson:inet:localhost:8823"
        " lists.test=lamson:inet:[127.0.0.1]:8823}"}),
    fault("checks of headers and bodies as in the guides", "", main={
        "header_checks": "regexp:<etc>/headers", "mime_header_checks": "regexp:<etc>/mime",
        "body_checks": "regexp:<etc>/body"},
        files={"headers": "/^X-Spam-Flag: YES/ REJECT spam\n/^Received:.*with ESMTPSA/ IGNORE\n"
               "/^(User-Agent|X-Mailer|X-Originating-IP):/ IGNORE\n/^Subject: .*viagra/ DISCARD\n",
               "mime": "/name=[^>]*\\.(bat|com|exe|scr)/ REJECT no programs\n",
               "body": "/^TVqQAAMAAAAEAAAA/ REJECT a program\n"}),
    fault("rspamd before our milter", "", base="filters", main={
        "smtpd_milters": f"inet:127.0.0.1:11332, {_MILTER}",
        "non_smtpd_milters": "inet:127.0.0.1:11332", "milter_default_action": "accept",
        "milter_mail_macros": "i {mail_addr} {client_addr} {client_name} {auth_authen}"}),
    fault("a milter of others, with accept", "", main={
        "smtpd_milters": "inet:127.0.0.1:11332", "milter_default_action": "accept"}),
    fault("few clients without milters", "", base="filters",
          main={"smtpd_milter_maps": "cidr:<etc>/unfiltered"},
          files={"unfiltered": "10.0.0.0/8 DISABLE\n"}),
    fault("postscreen", "", added=(
        "25 inet n - n - 1 postscreen", "smtpd pass - - n - - smtpd",
        "dnsblog unix - - n - 0 dnsblog", "tlsproxy unix - - n - 0 tlsproxy"), main={
        "postscreen_access_list": "permit_mynetworks", "postscreen_greet_action": "enforce",
        "postscreen_dnsbl_sites": "zen.spamhaus.org", "postscreen_dnsbl_action": "enforce"}),
    fault("compatibility level 2", "", main={"compatibility_level": "2"}),
    fault("compatibility level 3.7", "", main={"compatibility_level": "3.7"}),
    fault("restrictions as in the guides", "", main={
        "smtpd_helo_required": "yes", "strict_rfc821_envelopes": "yes",
        "disable_vrfy_command": "yes", "smtpd_delay_reject": "yes",
        "smtpd_helo_restrictions": "permit_mynetworks, permit_sasl_authenticated,"
        " reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
        "smtpd_sender_restrictions": "permit_mynetworks, reject_non_fqdn_sender,"
        " reject_unknown_sender_domain, check_sender_access texthash:<etc>/senders",
        "smtpd_data_restrictions": "reject_unauth_pipelining, permit"},
        override={"<world>/smtpd_recipient_restrictions": "permit_mynetworks,"
                  " permit_sasl_authenticated, reject_unauth_destination,"
                  " reject_non_fqdn_recipient, check_recipient_access texthash:<etc>/recipients,"
                  " check_client_access cidr:<etc>/clients, permit_dnswl_client list.dnswl.org,"
                  " reject_rbl_client zen.spamhaus.org, reject_rhsbl_sender dbl.spamhaus.org,"
                  " check_policy_service unix:private/policyd-spf, warn_if_reject"
                  " reject_unknown_reverse_client_hostname, permit"},
        files={"senders": "spam.test REJECT\nlists.test REJECT spoofed\n",
               "recipients": "postmaster@ OK\nother.test REJECT\nuser@app.test REJECT\n",
               "clients": "203.0.113.0/24 REJECT\n"}),
    fault("a gateway before this host", "", override={
        "<world>/smtpd_client_restrictions": "permit_mynetworks,"
        " check_client_access cidr:<etc>/gateways, reject"},
        files={"gateways": "198.18.0.0/24 OK\n"}),
    fault("a gateway in mynetworks", "", override={
        "<world>/smtpd_client_restrictions": "permit_mynetworks, reject",
        "<world>/mynetworks": "127.0.0.0/8, 10.1.0.0/16"}),
    fault("a content filter with reinjection", "", main={
        "content_filter": "smtp-amavis:[127.0.0.1]:10024"}, added=(
        "smtp-amavis unix - - n - 2 smtp -o smtp_data_done_timeout=1200",
        "127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o mynetworks=127.0.0.0/8"
        " -o smtpd_recipient_restrictions=permit_mynetworks,reject -o receive_override_options="
        "no_header_body_checks,no_unknown_recipient_checks,no_milters")),
    fault("addresses are verified, as the guide begins with it", "", override={
        "<world>/smtpd_recipient_restrictions": "reject_unauth_destination,"
        " reject_unverified_recipient"}),
    fault("addresses are verified", "", override={
        "<world>/smtpd_recipient_restrictions": "reject_unauth_destination,"
        " reject_unlisted_recipient, reject_unverified_recipient"}),
    fault("users hand mail in", "", added=(
        "submission inet n - n - - smtpd -o syslog_name=postfix/submission"
        " -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes"
        " -o smtpd_tls_auth_only=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
        " -o smtpd_sender_restrictions=reject_sender_login_mismatch"
        " -o smtpd_sender_login_maps=texthash:<etc>/logins",),
        main={"smtpd_tls_cert_file": "<etc>/cert", "smtpd_tls_key_file": "<etc>/key"},
        files={"logins": "@lists.test ann\n", "cert": "", "key": ""}),
    fault("copies for an archive", "", main={
        "always_bcc": "archive@company.test", "sender_bcc_maps": "static:sent@company.test"}),
    fault("a mailbox server behind the same Postfix", "", main={
        "virtual_mailbox_domains": "mail.company.test",
        "virtual_mailbox_maps": "texthash:<etc>/boxes",
        "virtual_transport": "lmtp:unix:private/dovecot-lmtp", "mailbox_size_limit": "0",
        "lmtp_destination_concurrency_limit": "2", "lmtp_destination_recipient_limit": "1"},
        files={"boxes": "ann@mail.company.test x\n"}),
    fault("local mail", "", main={
        "mydestination": "$myhostname, localhost", "local_transport": "local",
        "alias_maps": "texthash:<etc>/aliases", "luser_relay": "ann@company.test",
        "mailbox_transport": "lmtp:unix:private/dovecot-lmtp", "owner_request_special": "no"},
        added=("local unix - n n - - local",), files={"aliases": "root: ann\n"}),
    fault("a backup MX for others", "", main={
        "relay_domains": "app.test, lists.test, backup.test",
        "transport_maps": f"{_OURS}, inline:{{backup.test=smtp:[mx.backup.test]"
        " .other.test=smtp:}"}),
    fault("extensions, behind a pattern", "", main={"recipient_delimiter": "+"}),
    fault("relays by sender, of others", "", main={
        "sender_dependent_relayhost_maps": "inline:{@company.test=[smtp.company.test]}",
        "sender_dependent_default_transport_maps": "inline:{ann@company.test=smtp:}"}),
    fault("limits that are tight, and well", "", main={
        "default_process_limit": "50",
        "maximal_queue_lifetime": "1d", "bounce_queue_lifetime": "1d",
        "message_size_limit": "20480000", "smtpd_client_connection_count_limit": "10",
        "smtpd_client_message_rate_limit": "60", "smtpd_hard_error_limit": "5",
        "smtpd_error_sleep_time": "10s", "smtpd_recipient_limit": "100", "in_flow_delay": "1s",
        "minimal_backoff_time": "10m", "maximal_backoff_time": "2h", "queue_run_delay": "5m",
        "hopcount_limit": "30", "header_size_limit": "51200", "lmtp_connect_timeout": "5s",
        "smtpd_timeout": "30s", "transport_retry_time": "5m", "queue_minfree": "20480000"}),
    fault("networks of this site", "", main={
        "mynetworks": "127.0.0.0/8, 10.0.0.0/8, 192.168.0.0/16, [2001:db8::]/32",
        "smtpd_client_restrictions": "permit_mynetworks, reject_unknown_client_hostname",
        "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
        "smtpd_authorized_xclient_hosts": "10.0.0.5"}),
    fault("TLS for whoever wants it", "", override={
        "<world>/smtpd_tls_security_level": "may", "<world>/smtpd_tls_cert_file": "<etc>/cert",
        "<world>/smtpd_tls_key_file": "<etc>/key"},
        main={"smtpd_tls_mandatory_protocols": "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1"},
        files={"cert": "", "key": ""}),
    fault("addresses beyond ASCII are refused", "", main={"smtputf8_enable": "no"}),
    fault("amavis as it tells who writes from where", "", main={
        "smtpd_sender_restrictions": "check_sender_access regexp:<etc>/ours, permit_mynetworks,"
        " permit_sasl_authenticated, check_sender_access regexp:<etc>/foreign"},
        files={"ours": "/^/ FILTER scan:[127.0.0.1]:10026\n",
               "foreign": "/^/ FILTER scan:[127.0.0.1]:10024\n"},
        added=("scan unix - - n - 2 smtp -o smtp_send_xforward_command=yes",
               "127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o mynetworks=127.0.0.0/8"
               " -o smtpd_sender_restrictions=")),
    fault("a filter of some lists' mail that hands it back", "", main={
        "header_checks": "regexp:<etc>/headers"},
        files={"headers": "/^To:.*@lists/ FILTER smtp:[127.0.0.1]:10024\n"}),
    fault("a content filter past our milter", "", base="filters", main={
        "content_filter": "scan:[127.0.0.1]:10024"},
        added=("scan unix - - n - 2 smtp",
               "127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o"
               " receive_override_options=no_milters")),
    fault("aliases by a table that is not asked for, as nobody is local", "", main={
        "alias_maps": "hash:/nowhere/aliases", "alias_database": "hash:/nowhere/aliases",
        "mydestination": "", "smtp_tls_session_cache_database": "btree:/nowhere/cache"}),
    fault("partners may relay, and who says that he is one of us may not", "", override={
        "<world>/smtpd_relay_restrictions": "permit_mynetworks, check_client_access"
        " cidr:<etc>/partners, reject_unauth_destination",
        "<world>/smtpd_recipient_restrictions": "check_sender_access texthash:<etc>/senders"},
        files={"partners": "198.18.0.0/24 OK\n", "senders": "lists.test OK\n"}),
)  # fmt: skip
