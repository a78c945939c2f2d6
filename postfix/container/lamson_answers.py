"""The health check of the Lamson container: does the LMTP server answer LHLO?"""

import os
import smtplib
import sys

host, _, port = os.environ["LAMSON_LMTP__LISTEN"].rpartition(":")
if host in ("0.0.0.0", "[::]"):
    host = "127.0.0.1"
try:
    with smtplib.LMTP(host.strip("[]"), int(port), timeout=4) as client:
        code, text = client.ehlo()
except (OSError, smtplib.SMTPException) as error:
    sys.exit(f"LMTP on {host}:{port}: {error}")
if code != 250:
    sys.exit(f"LMTP on {host}:{port}: LHLO was answered {code} {text.decode(errors='replace')}")
