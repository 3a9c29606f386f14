output "dead_letter_subscription" {
  description = "Where uploads wait that could not be answered."
  value       = module.zeropoint.dead_letter_subscription
}

output "input_bucket" {
  description = "Put photos here."
  value       = module.zeropoint.input_bucket
}

output "results_bucket" {
  description = "Find answers here."
  value       = module.zeropoint.results_bucket
}

output "service_uri" {
  description = "URL of the service: its callers need an identity token."
  value       = module.zeropoint.service_uri
}
