"""pypsrp, by each method that it has: pypsrp-client.py certificate|kerberos|negotiate|ntlm|basic"""

import os
import sys

from pypsrp.client import Client

METHODS = {
    "certificate": {"certificate_pem": "alice.pem", "certificate_key_pem": "alice.key"},
    # With the ticket that `kinit` got before.
    "kerberos": {},
    "negotiate": {},
    # An account of the gateway's own (service.ntlm_accounts).
    "ntlm": {"username": "robot", "password": os.environ.get("PASSWORD")},
    "basic": {"username": "alice@CORP.EXAMPLE", "password": os.environ.get("PASSWORD")},
}

method = sys.argv[1]
with Client(
    "gw.corp.example", path="hosts/web01.corp.example/wsman", cert_validation="ca.pem", auth=method, **METHODS[method]
) as client:
    output, error, code = client.execute_cmd("whoami")
print(output, error, sep="")
sys.exit(code)
