"""pywinrm's Session, whose path is fixed to /wsman: the route is found by server name, web01.winrm.corp.example."""

import winrm

session = winrm.Session(
    "https://web01.winrm.corp.example:5986/wsman",
    auth=("", ""),
    transport="certificate",
    cert_pem="alice.pem",
    cert_key_pem="alice.key",
    ca_trust_path="ca.pem",
)
print(session.run_cmd("whoami").std_out.decode())
