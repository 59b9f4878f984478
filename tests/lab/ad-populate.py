"""Fills a provisioned domain with people, services, computers and their keytabs. Runs in the system's Python, which has Samba's modules.

One process for all of it: many calls of samba-tool take far longer.
"""

import os
import sys

import ldb
import samba.dckeytab  # adds Net.export_keytab
from samba import dsdb
from samba.auth import system_session
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB

REALM = "TEST.EXAMPLE"
DOMAIN = "test.example"
PASSWORD = "Passw0rd!"
AES = "24"  # aes128 and aes256
HOSTS = [f"web{number:02}" for number in range(1, 6)]
# web05 is not listed.
DELEGABLE = [f"{service}/{host}.{DOMAIN}" for host in HOSTS[:4] for service in ("HTTP", "WSMAN")]

# The gateway's own names are names of its account.
GATEWAY = [f"{service}/gw.{DOMAIN}" for service in ("HTTP", "WSMAN", "HOST")]


class Domain:
    """The domain's database and its keytabs."""

    def __init__(self, configuration, keytabs):
        self._settings = LoadParm()
        self._settings.load(configuration)
        self._database = SamDB(url=self._settings.samdb_url(), session_info=system_session(self._settings), lp=self._settings)
        self._keytabs = keytabs
        self._net = Net(None, self._settings)

    def change(self, where, **attributes):
        message = ldb.Message()
        message.dn = ldb.Dn(self._database, where)
        for name, value in attributes.items():
            name = name.replace("_", "-")
            message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
        self._database.modify(message)

    def _account(self, name):
        found = self._database.search(self._database.domain_dn(), ldb.SCOPE_SUBTREE, f"(sAMAccountName={name})", attrs=["dn"])
        return str(found[0].dn)

    def any_password_will_do(self):
        self.change(
            self._database.domain_dn(), minPwdAge="0", maxPwdAge="-9223372036854775808", pwdProperties="0", minPwdLength="1"
        )

    def user(self, name, flags=0, **attributes):
        self._database.newuser(name, PASSWORD)
        control = str(dsdb.UF_NORMAL_ACCOUNT | dsdb.UF_DONT_EXPIRE_PASSWD | flags)
        self.change(self._account(name), userAccountControl=control, msDS_SupportedEncryptionTypes=AES, **attributes)

    def group(self, name, members):
        self._database.newgroup(name)
        self._database.add_remove_group_members(name, members)

    def computer(self, name):
        self._database.newcomputer(name)
        self._database.setpassword(f"(sAMAccountName={name}$)", f"{PASSWORD}{name}", force_change_at_next_login=False)
        names = [f"{service}/{name}.{DOMAIN}" for service in ("HOST", "HTTP", "WSMAN")]
        control = str(dsdb.UF_WORKSTATION_TRUST_ACCOUNT | dsdb.UF_DONT_EXPIRE_PASSWD)
        self.change(
            self._account(f"{name}$"), userAccountControl=control, servicePrincipalName=names, msDS_SupportedEncryptionTypes=AES
        )

    def keytab(self, name, *principals):
        for principal in principals:
            path = os.path.join(self._keytabs, f"{name}.keytab")
            self._net.export_keytab(keytab=path, principal=f"{principal}@{REALM}")


def main():
    domain = Domain(*sys.argv[1:])
    domain.any_password_will_do()
    for name in ("alice", "bob", "dave"):
        domain.user(name, userPrincipalName=f"{name}@{DOMAIN}")
    domain.user("carol", flags=dsdb.UF_NOT_DELEGATED)
    domain.group("WinRMUsers", ["alice", "bob"])
    # With protocol transition, without it, and the gateway's own name.
    transition = dsdb.UF_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION
    domain.user("svc-gw", transition, servicePrincipalName=GATEWAY, msDS_AllowedToDelegateTo=DELEGABLE)
    domain.user("svc-plain", servicePrincipalName=f"HTTP/plain.{DOMAIN}", msDS_AllowedToDelegateTo=DELEGABLE)
    for host in HOSTS:
        domain.computer(host)
    for name in ("alice", "bob", "carol", "dave", "svc-plain"):
        domain.keytab(name, name)
    domain.keytab("svc-gw", "svc-gw")
    domain.keytab("gw", "svc-gw", *GATEWAY)
    for host in HOSTS:
        names = [f"{service}/{host}.{DOMAIN}" for service in ("HTTP", "WSMAN")]
        domain.keytab(host, *names)
        domain.keytab("hosts", *names)


if __name__ == "__main__":
    main()
