# In the order of the alphabet. What belongs to a concern that is left out is null or empty.

output "batch_job" {
  description = "Name of the Cloud Run job."
  value       = one(google_cloud_run_v2_job.batch[*].name)
}

output "bigquery_functions" {
  description = "SQL names of the remote functions, by their key."
  value       = { for name, routine in google_bigquery_routine.model : name => "`${var.project_id}.${routine.dataset_id}.${routine.routine_id}`" }
}

output "build_source_bucket" {
  description = "Bucket for `gcloud builds submit --gcs-source-staging-dir=gs://BUCKET/source`."
  value       = one(google_storage_bucket.source[*].name)
}

output "build_substitutions" {
  description = "Substitutions for cloudbuild.yaml and deploy/release.yaml, as the triggers pass them."
  value       = local.substitutions
}

output "builder_service_account" {
  description = "Account that builds and deploys."
  value       = one(google_service_account.builder[*].email)
}

output "dashboard" {
  description = "Id of the dashboard."
  value       = one(google_monitoring_dashboard.function[*].id)
}

output "dead_letter_subscription" {
  description = "Subscription that holds what could not be answered."
  value       = one(google_pubsub_subscription.dead_letters[*].name)
}

output "image_repository" {
  description = "Where images are pushed: REGION-docker.pkg.dev/PROJECT/REPOSITORY."
  value       = var.build == null ? null : "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images[0].repository_id}"
}

output "input_bucket" {
  description = "Bucket whose uploads are answered."
  value       = try(google_storage_bucket.events["input"].name, null)

  # Who reads it wants uploads to be answered.
  depends_on = [google_eventarc_trigger.uploads, google_pubsub_subscription.push, google_storage_notification.uploads]
}

output "results_bucket" {
  description = "Bucket of the answers."
  value       = try(google_storage_bucket.events["results"].name, null)
}

output "runtime_service_account" {
  description = "Account that the service runs as: grant it what it is to read."
  value       = google_service_account.runtime.email
}

output "service_name" {
  description = "Name of the Cloud Run service."
  value       = google_cloud_run_v2_service.function.name
}

output "service_uri" {
  description = "URL of the service."
  value       = google_cloud_run_v2_service.function.uri

  # Who reads it wants to call it.
  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

output "slos" {
  description = "Names of the objectives, by their key."
  value       = { for name, objective in local.objectives : name => objective.name }
}

output "vertex_endpoint" {
  description = "Id of the Vertex AI endpoint, for deploy/vertex.sh."
  value       = one(google_vertex_ai_endpoint.models[*].name)
}

output "vertex_service_account" {
  description = "Account that containers on the endpoint run as."
  value       = one(google_service_account.vertex[*].email)
}
