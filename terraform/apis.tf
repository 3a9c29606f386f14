locals {
  apis = toset(concat(
    ["iam", "logging", "run"],
    var.batch == null ? [] : ["storage"],
    try(var.batch.schedule, null) == null ? [] : ["cloudscheduler"],
    var.bigquery == null ? [] : ["bigquery", "bigqueryconnection"],
    var.budget == null ? [] : ["billingbudgets", "monitoring"],
    var.build == null ? [] : ["artifactregistry", "cloudbuild", "containeranalysis", "iamcredentials", "ondemandscanning", "storage"],
    var.events == null ? [] : ["monitoring", "pubsub", "storage"],
    local.eventarc ? ["eventarc"] : [],
    length(var.alert_emails) > 0 || var.monitoring != null ? ["monitoring"] : [],
    length(var.service.secrets) > 0 ? ["secretmanager"] : [],
    var.vertex == null ? [] : ["aiplatform"],
  ))
}

# Enabling is eventually consistent: a first apply that meets 403 SERVICE_DISABLED is run again.
resource "google_project_service" "api" {
  for_each = var.enable_apis ? local.apis : []

  project = var.project_id
  service = "${each.key}.googleapis.com"

  # Others in the project may need it too.
  disable_on_destroy = false
}
