"""Finds what an envelope asks for, and does it. Shells belong to the person who made them, on the host by whose name they were made."""

import base64
import threading
import uuid
from xml.sax.saxutils import escape

from . import cmd, powershell, soap
from .soap import ENUMERATION, SHELL, TRANSFER, Fault
from .streams import receive_response

CONFIG = "http://schemas.microsoft.com/wbem/wsman/1/config"
POWERSHELL = "http://schemas.microsoft.com/powershell/"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
_PS = "http://schemas.microsoft.com/powershell"
_RSP = f"{{{SHELL}}}"


def _internal(text):
    return Fault(1359, "w:InternalError", text, by="Receiver")


class Shell:
    """A shell and its commands."""

    def __init__(self, shell_id, resource, caller):
        self.id, self.resource, self.caller = shell_id, resource, caller
        self.commands = {}
        self.disconnected = False
        self.pool = None

    def command(self, command_id):
        found = self.commands.get((command_id or "").upper())
        if found is None:
            raise soap.unknown_selectors(f"{self.id} and CommandId {command_id}")
        return found

    def description(self):
        """The shell as it is shown to its owner."""
        state = "Disconnected" if self.disconnected else "Connected"
        return (
            f"<rsp:Shell><rsp:ShellId>{self.id}</rsp:ShellId><rsp:ResourceUri>{escape(self.resource)}</rsp:ResourceUri>"
            f"<rsp:Owner>{escape(self.caller.identity)}</rsp:Owner><rsp:State>{state}</rsp:State></rsp:Shell>"
        )

    def stop(self):
        for command in self.commands.values():
            if self.pool is None:
                command.stop()
        if self.pool:
            self.pool.stop()


class Operations:
    """All that the host can be asked for."""

    def __init__(self, max_shells):
        self._max_shells = max_shells
        self._lock = threading.Lock()
        self._shells = {}
        self._enumerations = {}
        self._by_action = {
            f"{TRANSFER}/Get": self._get,
            f"{TRANSFER}/Put": self._put,
            f"{TRANSFER}/Create": self._create,
            f"{TRANSFER}/Delete": self._delete,
            f"{ENUMERATION}/Enumerate": self._enumerate,
            f"{ENUMERATION}/Pull": self._pull,
            f"{ENUMERATION}/Release": self._release,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
            f"{SHELL}/Connect": self._connect,
            f"{SHELL}/Disconnect": self._disconnect,
            f"{SHELL}/Reconnect": self._reconnect,
        }

    def carry_out(self, request, caller):
        """The answering envelope; raises Fault."""
        if request.is_identify:
            return soap.identify_answer()
        operation = self._by_action.get(request.action)
        if operation is None:
            raise Fault(2150858771, "a:ActionNotSupported", f"The action {request.action} is not supported. ")
        try:
            return soap.answer(request, operation(request, caller))
        except (AttributeError, LookupError, ValueError) as error:
            # Something that must be there is not, or is not what it must be.
            raise Fault(2150858817, "w:SchemaValidationError", f"The request is not as it must be: {error}. ") from error

    # --- resources ---

    def _get(self, request, caller):
        if request.resource == CONFIG:
            return _config(caller)
        if request.resource.startswith(WMI):
            return _instance(request.resource, caller)
        raise _no_resource(request)

    def _put(self, request, caller):
        if request.resource != CONFIG:
            raise _no_resource(request)
        return _config(caller)

    def _enumerate(self, request, caller):
        if request.resource in (SHELL, f"{SHELL}/Command"):
            return self._enumerate_shells(request, caller)
        if not request.resource.startswith(WMI):
            raise _no_resource(request)
        context = f"uuid:{str(uuid.uuid4()).upper()}"
        with self._lock:
            self._enumerations[context] = caller.identity
        return f"<n:EnumerateResponse><n:EnumerationContext>{context}</n:EnumerationContext></n:EnumerateResponse>"

    def _enumerate_shells(self, request, caller):
        """The caller's own shells, or the commands of one of them, all at once."""
        with self._lock:
            shells = [shell for (host, _), shell in self._shells.items() if (host, shell.caller.identity) == (caller.host, caller.identity)]
        if request.resource == SHELL:
            items = [shell.description() for shell in shells]
        else:
            wanted = request.body.findtext(f".//{{{soap.WSMAN}}}Selector")
            commands = [command for shell in shells if shell.id == (wanted or "").upper() for command in shell.commands]
            items = [f"<rsp:Command><rsp:CommandId>{command}</rsp:CommandId></rsp:Command>" for command in commands]
        return f"<n:EnumerateResponse><w:Items>{''.join(items)}</w:Items><w:EndOfSequence/></n:EnumerateResponse>"

    def _take_enumeration(self, request, caller):
        context = (request.body.findtext(f".//{{{ENUMERATION}}}EnumerationContext") or "").strip()
        with self._lock:
            if self._enumerations.get(context) != caller.identity:
                raise Fault(2150858786, "w:InternalError", "The enumeration context is not valid. ")
            del self._enumerations[context]

    def _pull(self, request, caller):
        self._take_enumeration(request, caller)
        return f"<n:PullResponse><n:Items>{_instance(request.resource, caller)}</n:Items><n:EndOfSequence/></n:PullResponse>"

    def _release(self, request, caller):
        self._take_enumeration(request, caller)
        return ""

    # --- shells ---

    def _create(self, request, caller):
        asked = request.body.find(f"{_RSP}Shell")
        if asked is None:
            raise _no_resource(request)
        shell_id = (asked.get("ShellId") or str(uuid.uuid4())).upper()
        shell = Shell(shell_id, request.resource, caller)
        if request.resource.startswith(POWERSHELL):
            creation = asked.findtext(f"{{{_PS}}}creationXml")
            shell.pool = powershell.Pool(powershell.decode(creation), caller)
        with self._lock:
            own = [other for other in self._shells.values() if other.caller.identity == caller.identity]
            if len(own) >= self._max_shells:
                raise Fault(2150859173, "w:QuotaLimit", "The maximum number of concurrent shells for this user has been exceeded. ")
            if (caller.host, shell_id) in self._shells:
                raise _internal("The ShellId is in use. ")
            self._shells[caller.host, shell_id] = shell
        streams = [asked.findtext(f"{_RSP}{name}") or "" for name in ("InputStreams", "OutputStreams")]
        return (
            f"<x:ResourceCreated><a:Address>{escape(request.to)}</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{escape(request.resource)}</w:ResourceURI>"
            f'<w:SelectorSet><w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
            f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{escape(request.resource)}</rsp:ResourceUri>"
            f"<rsp:Owner>{escape(caller.identity)}</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP>"
            f"<rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut><rsp:InputStreams>{escape(streams[0])}</rsp:InputStreams>"
            f"<rsp:OutputStreams>{escape(streams[1])}</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime>"
            "<rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>"
        )

    def _find(self, request, caller, disconnected=False):
        shell_id = request.selectors.get("shellid", "").upper()
        with self._lock:
            shell = self._shells.get((caller.host, shell_id))
        if shell is None:
            raise soap.unknown_selectors(shell_id)
        if shell.caller.identity != caller.identity:
            raise Fault(5, "w:AccessDenied", "Access is denied. ")
        if disconnected is not None and shell.disconnected != disconnected:
            raise _internal("The shell is disconnected. " if shell.disconnected else "The shell is not disconnected. ")
        return shell

    def _delete(self, request, caller):
        shell = self._find(request, caller, disconnected=None)
        with self._lock:
            self._shells.pop((caller.host, shell.id), None)
        shell.stop()
        return ""

    def _disconnect(self, request, caller):
        shell = self._find(request, caller)
        shell.disconnected = True
        if shell.pool:
            shell.pool.disconnect()
        return "<rsp:DisconnectResponse/>"

    def _reconnect(self, request, caller):
        shell = self._find(request, caller, disconnected=True)
        shell.disconnected = False
        if shell.pool:
            shell.pool.reconnect()
        return "<rsp:ReconnectResponse/>"

    def _connect(self, request, caller):
        asked = request.body.find(f"{_RSP}Connect")
        if asked.get("CommandId"):
            self._find(request, caller).command(asked.get("CommandId"))
            return "<rsp:ConnectResponse/>"
        shell = self._find(request, caller, disconnected=True)
        told = shell.pool.connect(powershell.decode(asked.findtext(f"{{{_PS}}}connectXml")))
        shell.disconnected = False
        text = base64.b64encode(told).decode()
        return f'<rsp:ConnectResponse><connectResponseXml xmlns="{_PS}">{text}</connectResponseXml></rsp:ConnectResponse>'

    def _command(self, request, caller):
        shell = self._find(request, caller)
        asked = request.body.find(f"{_RSP}CommandLine")
        command_id = (asked.get("CommandId") or str(uuid.uuid4())).upper()
        arguments = [argument.text or "" for argument in asked.iterfind(f"{_RSP}Arguments")]
        if shell.pool:
            shell.commands[command_id] = shell.pool.create(command_id, b"".join(map(powershell.decode, arguments)))
        else:
            line = " ".join([asked.findtext(f"{_RSP}Command") or "", *arguments])
            shell.commands[command_id] = cmd.start(line, caller)
        return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, request, caller):
        shell = self._find(request, caller)
        for stream in request.body.iterfind(f"{_RSP}Send/{_RSP}Stream"):
            data = base64.b64decode(stream.text or "")
            if shell.pool:
                shell.pool.feed(data)
            else:
                shell.command(stream.get("CommandId")).write_input(data, stream.get("End", "").lower() in ("true", "1"))
        return "<rsp:SendResponse/>"

    def _receive(self, request, caller):
        shell = self._find(request, caller)
        command_id = request.body.find(f"{_RSP}Receive/{_RSP}DesiredStream").get("CommandId")
        output = shell.command(command_id).output if command_id else shell.pool.output
        chunks, done = output.take(request.most_bytes, request.timeout)
        names = () if shell.pool else ("stdout", "stderr")
        return receive_response(command_id, chunks, done, output.exit_code, names)

    def _signal(self, request, caller):
        shell = self._find(request, caller)
        signal = request.body.find(f"{_RSP}Signal")
        command = shell.command(signal.get("CommandId"))
        if shell.pool:
            command.stopped.set()
        elif not command.output.ended:
            command.stop()
        if (signal.findtext(f"{_RSP}Code") or "").lower().endswith("/terminate"):
            del shell.commands[signal.get("CommandId").upper()]
        return "<rsp:SignalResponse/>"


def _no_resource(request):
    return Fault(2150858752, "a:DestinationUnreachable", f"The service can not find the resource {request.resource}. ")


def _config(caller):
    """`winrm get winrm/config`, with one element more: who asked."""
    return (
        f'<cfg:Config xmlns:cfg="{CONFIG}" xml:lang="en-US"><cfg:MaxEnvelopeSizekb>500</cfg:MaxEnvelopeSizekb>'
        "<cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms><cfg:MaxBatchItems>32000</cfg:MaxBatchItems>"
        "<cfg:Service><cfg:AllowUnencrypted>false</cfg:AllowUnencrypted></cfg:Service>"
        f'<lab:Caller xmlns:lab="urn:lab" host="{escape(caller.host)}">{escape(caller.identity)}</lab:Caller></cfg:Config>'
    )


def _instance(resource, caller):
    name = resource.rpartition("/")[2]
    if not name.isidentifier():
        name = "Win32_OperatingSystem"
    return (
        f'<p:{name} xmlns:p="{escape(resource)}"><p:CSName>{escape(caller.host)}</p:CSName>'
        f"<p:Caption>Microsoft Windows Server 2019</p:Caption><p:RegisteredUser>{escape(caller.identity)}</p:RegisteredUser></p:{name}>"
    )
