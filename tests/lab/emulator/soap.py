"""Envelopes: what a request says, and how answers and faults are written."""

import re
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
MS_WSMAN = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
FAULT_ACTIONS = {"a": f"{ADDRESSING}/fault", "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"}
CONTENT_TYPE = "application/soap+xml;charset=UTF-8"
_OPEN = (
    f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:x="{TRANSFER}" xmlns:n="{ENUMERATION}" '
    f'xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}" xmlns:p="{MS_WSMAN}">'
)


class Fault(Exception):
    """An operation that failed, in WinRM's own words and numbers."""

    def __init__(self, code, subcode, text, by="Sender"):
        super().__init__(text)
        self.code, self.subcode, self.text, self.by = code, subcode, text, by


def timed_out():
    return Fault(
        2150858793,
        "w:TimedOut",
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout. ",
        by="Receiver",
    )


def unknown_selectors(what):
    return Fault(
        2150858843,
        "w:InvalidSelectors",
        f"The request for the Windows Remote Shell with ShellId {what} failed because the shell was not found on the server. ",
    )


class Request:
    """What an envelope asks for."""

    def __init__(self, content):
        try:
            root = ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise Fault(2150858817, "w:SchemaValidationError", f"The message is no XML: {error}. ") from error
        self.header = root.find(f"{{{SOAP}}}Header")
        self.body = root.find(f"{{{SOAP}}}Body")
        if self.body is None:
            raise Fault(2150858817, "w:SchemaValidationError", "The message has no body. ")
        if self.header is None:
            self.header = ElementTree.Element("none")
        self.action = self.text(ADDRESSING, "Action")
        self.resource = self.text(WSMAN, "ResourceURI")
        self.message_id = self.text(ADDRESSING, "MessageID")
        self.to = self.text(ADDRESSING, "To")
        self.operation_id = self.text(MS_WSMAN, "OperationID")
        self.selectors = {
            selector.get("Name", "").lower(): (selector.text or "").strip()
            for selector in self.header.iterfind(f"{{{WSMAN}}}SelectorSet/{{{WSMAN}}}Selector")
        }

    def text(self, namespace, name):
        """The text of a header."""
        return (self.header.findtext(f"{{{namespace}}}{name}") or "").strip()

    @property
    def is_identify(self):
        return self.body.find(f"{{{IDENTITY}}}Identify") is not None

    @property
    def timeout(self):
        """`OperationTimeout` in seconds."""
        return seconds(self.text(WSMAN, "OperationTimeout"), default=60.0)

    @property
    def most_bytes(self):
        """How much clear output fits into one answer."""
        envelope = int(self.text(WSMAN, "MaxEnvelopeSize") or 153600)
        return max(1024, min(envelope, 512000) * 5 // 8)


def seconds(duration, default):
    """An `xs:duration` without years and months."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?", duration)
    if not found:
        return default
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _envelope(action, relates_to, body):
    relates = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f"{_OPEN}<s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{ADDRESSING}/role/anonymous</a:To>{relates}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def answer(request, body):
    """The answer to a request that succeeded."""
    return _envelope(f"{request.action}Response", request.message_id, body)


def identify_answer():
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="{IDENTITY}">'
        "<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>"
        "<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
        "<wsmid:ProductVersion>OS: 10.0.17763 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
        "</wsmid:IdentifyResponse></s:Body></s:Envelope>"
    ).encode()


def fault_answer(fault, relates_to, machine):
    """The answer to a request that failed."""
    text = escape(fault.text)
    body = (
        f"<s:Fault><s:Code><s:Value>s:{fault.by}</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason>'
        '<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" '
        f'Code="{fault.code}" Machine="{escape(machine)}"><f:Message>{text}</f:Message></f:WSManFault></s:Detail></s:Fault>'
    )
    return _envelope(FAULT_ACTIONS[fault.subcode[0]], relates_to, body)
