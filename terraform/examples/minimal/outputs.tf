output "service_uri" {
  description = "URL of the service: its callers need an identity token."
  value       = module.zeropoint.service_uri
}
