# curl, with the ticket that `kinit` got before: asks the host for its configuration. It needs a curl that has GSS-API.
curl --silent --show-error --fail --cacert ca.pem --negotiate --user : \
  --header 'Content-Type: application/soap+xml;charset=UTF-8' --data @- \
  https://gw.corp.example:5986/hosts/web01.corp.example/wsman <<'SOAP'
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
  xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header>
<a:To>https://gw.corp.example:5986/hosts/web01.corp.example/wsman</a:To>
<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>
<a:Action s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action>
<a:MessageID>uuid:7a2d2d37-2a5f-4a35-8b4e-3d3f1c9f6a11</a:MessageID>
<w:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/config</w:ResourceURI>
<w:OperationTimeout>PT20S</w:OperationTimeout>
</s:Header><s:Body/></s:Envelope>
SOAP
