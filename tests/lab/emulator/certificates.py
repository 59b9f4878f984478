"""Client certificates: the one that came with TLS, and the local account that it stands for."""

from cryptography import x509

from .passwords import Known, machine

PROFILE = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_UPN = "1.3.6.1.4.1.311.20.2.3"


def known(tls_socket, called):
    """Whom the certificate maps to: the local account that is called as the first part of its UPN; raises ValueError."""
    der = tls_socket.getpeercert(binary_form=True)
    if not der:
        raise ValueError("no client certificate")
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for name in names.get_values_for_type(x509.OtherName):
        if name.type_id.dotted_string == _UPN:
            user = name.value[2:].decode().partition("@")[0]
            return Known("certificate", "https/mutual", f"{machine(called)}\\{user}", called)
    raise ValueError("a certificate without a UPN")
