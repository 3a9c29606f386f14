output "batch_job" {
  description = "The job for work that outgrows requests."
  value       = module.zeropoint.batch_job
}

output "bigquery_functions" {
  description = "SQL names of the remote functions."
  value       = module.zeropoint.bigquery_functions
}

output "build_substitutions" {
  description = "What the pipeline is told."
  value       = module.zeropoint.build_substitutions
}

output "input_bucket" {
  description = "Put photos here, below photos/."
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

output "vertex_endpoint" {
  description = "Id of the Vertex AI endpoint."
  value       = module.zeropoint.vertex_endpoint
}
