"""An emulated Windows host: WinRM over HTTP and HTTPS, with real Kerberos and real processes.

`web` speaks HTTP and decides who is calling, `sealing` is Kerberos, `soap` reads and writes envelopes, `operations` finds what an envelope
asks for, `cmd` and `powershell` are the two kinds of shells, `misbehave` breaks the rules on request.
"""
