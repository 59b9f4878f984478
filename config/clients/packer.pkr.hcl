# Packer's WinRM client has a fixed path, so the route is found by server name (match: { server_name: "{host}.winrm.corp.example" }).
source "null" "web01" {
  communicator   = "winrm"
  winrm_host     = "web01.winrm.corp.example"
  winrm_port     = 5986
  winrm_use_ssl  = true
  winrm_username = "alice@CORP.EXAMPLE"
  winrm_password = var.password
}

variable "password" {
  type      = string
  sensitive = true
}

build {
  sources = ["source.null.web01"]
  provisioner "windows-shell" {
    inline = ["whoami"]
  }
}
