"""pywinrm, by each method that it has: pywinrm-client.py certificate|kerberos|ntlm|basic|ssl

By Protocol: Session cuts the path from the URL, and needs a route by server name or listener.
"""

import os
import sys

from winrm.protocol import Protocol

METHODS = {
    "certificate": {"cert_pem": "alice.pem", "cert_key_pem": "alice.key"},
    # With the ticket that `kinit` got before.
    "kerberos": {},
    # An account of the gateway's own (service.ntlm_accounts).
    "ntlm": {"username": "robot", "password": os.environ.get("PASSWORD")},
    "basic": {"username": "alice@CORP.EXAMPLE", "password": os.environ.get("PASSWORD")},
    # Basic over HTTPS by its older name.
    "ssl": {"username": "alice@CORP.EXAMPLE", "password": os.environ.get("PASSWORD")},
}

method = sys.argv[1]
protocol = Protocol(
    "https://gw.corp.example:5986/hosts/web01.corp.example/wsman", transport=method, ca_trust_path="ca.pem", **METHODS[method]
)
shell = protocol.open_shell()
command = protocol.run_command(shell, "whoami")
output, error, code = protocol.get_command_output(shell, command)
protocol.cleanup_command(shell, command)
protocol.close_shell(shell)
print(output.decode(), error.decode(), sep="")
sys.exit(code)
