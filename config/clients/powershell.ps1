# Windows PowerShell or PowerShell 7 on Windows. The URI names the host; the machine must trust the authority of the gateway's certificate.

# By Kerberos, as whoever is logged on.
$gateway = 'https://gw.corp.example:5986/hosts/web01.corp.example/wsman'
$session = New-PSSession -ConnectionUri $gateway -Authentication Kerberos

# By a certificate of the user's store.
$session = New-PSSession -ConnectionUri $gateway -CertificateThumbprint 0000000000000000000000000000000000000000

# By Basic, which the gateway turns into a ticket.
$session = New-PSSession -ConnectionUri $gateway -Authentication Basic -Credential (Get-Credential alice@CORP.EXAMPLE)

Invoke-Command -Session $session { whoami }
Remove-PSSession $session
