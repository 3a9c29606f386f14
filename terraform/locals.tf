locals {
  labels = merge({ app = var.name }, var.labels)

  # Pub/Sub's own account in this project: it signs pushes and moves dead letters.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  # The service in a filter of Logging, as in one of Monitoring.
  this_service = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\" AND resource.labels.location=\"${var.region}\""

  push     = try(var.events.delivery, "") == "pubsub"
  eventarc = try(var.events.delivery, "") == "eventarc"

  # A model repository: where it is read, and what says so to the function.
  models_mounted = try(var.models.mount, false)
  models_root    = local.models_mounted ? "/mnt/models" : try("gs://${var.models.bucket}", "")
  models_env     = var.models == null ? {} : { ZEROPOINT_MODELS = trimsuffix("${local.models_root}/${var.models.prefix}", "/") }

  notification_channels = concat(
    [for channel in google_monitoring_notification_channel.email : channel.id],
    tolist(var.notification_channels),
  )
}

data "google_project" "this" {
  project_id = var.project_id
}
