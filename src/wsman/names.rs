//! The namespaces of WS-Management and the URIs that are compared with.

/// A namespace that this module tells apart. Names are compared as (namespace, local name), never by prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ns {
    /// No namespace at all.
    None,
    /// The reserved `xml` prefix.
    Xml,
    /// SOAP 1.2.
    Soap,
    /// WS-Addressing 2004/08, the only version that WS-Management uses.
    Addressing,
    /// DMTF WS-Management.
    Wsman,
    /// Microsoft's extensions to it.
    MsWsman,
    /// WS-Transfer 2004/09.
    Transfer,
    /// WS-Enumeration 2004/09.
    Enumeration,
    /// WS-Eventing 2004/08.
    Eventing,
    /// Windows shells ([MS-WSMV] 2.2.4).
    Shell,
    /// `f:WSManFault`.
    Fault,
    /// `wsmid:Identify`.
    Identity,
    /// `m:MachineID` of event deliveries.
    MachineId,
    /// SOAP 1.1, which is another protocol.
    OtherSoap,
    /// Another version of WS-Addressing.
    OtherAddressing,
    /// Anything else.
    Other,
}

impl Ns {
    /// The namespace that a URI names.
    pub(super) fn of(uri: &str) -> Self {
        KNOWN.iter().find(|(known, _)| *known == uri).map_or(Self::Other, |(_, ns)| *ns)
    }
}

pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
pub(super) const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
pub(super) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub(super) const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
pub(super) const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
pub(super) const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";

pub(super) const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
pub(super) const ROLE_ULTIMATE: &str = "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver";
pub(super) const ROLE_NONE: &str = "http://www.w3.org/2003/05/soap-envelope/role/none";

const KNOWN: [(&str, Ns); 19] = [
    (SOAP, Ns::Soap),
    (ADDRESSING, Ns::Addressing),
    (WSMAN, Ns::Wsman),
    ("http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd", Ns::MsWsman),
    ("http://schemas.microsoft.com/wbem/wsman/1/windows/shell", Ns::Shell),
    ("http://schemas.xmlsoap.org/ws/2004/09/transfer", Ns::Transfer),
    ("http://schemas.xmlsoap.org/ws/2004/09/enumeration", Ns::Enumeration),
    ("http://schemas.xmlsoap.org/ws/2004/08/eventing", Ns::Eventing),
    (FAULT, Ns::Fault),
    ("http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd", Ns::Identity),
    ("http://schemas.microsoft.com/wbem/wsman/1/machineid", Ns::MachineId),
    (XML, Ns::Xml),
    ("http://schemas.xmlsoap.org/soap/envelope/", Ns::OtherSoap),
    ("http://www.w3.org/2001/12/soap-envelope", Ns::OtherSoap),
    ("http://www.w3.org/2002/06/soap-envelope", Ns::OtherSoap),
    ("http://www.w3.org/2005/08/addressing", Ns::OtherAddressing),
    ("http://www.w3.org/2004/12/addressing", Ns::OtherAddressing),
    ("http://schemas.xmlsoap.org/ws/2004/03/addressing", Ns::OtherAddressing),
    ("http://schemas.xmlsoap.org/ws/2003/03/addressing", Ns::OtherAddressing),
];
