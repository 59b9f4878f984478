# Terraform's WinRM client has a fixed path, so the route is found by server name (match: { server_name: "{host}.winrm.corp.example" }).
variable "password" {
  type      = string
  sensitive = true
}

resource "terraform_data" "web01" {
  connection {
    type     = "winrm"
    host     = "web01.winrm.corp.example"
    port     = 5986
    https    = true
    cacert   = file("ca.pem")
    user     = "alice@CORP.EXAMPLE"
    password = var.password
  }
  provisioner "remote-exec" {
    inline = ["whoami"]
  }
}
