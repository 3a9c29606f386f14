# The GA provider can neither upload a model nor deploy it to an endpoint: deploy/vertex.sh does both.

resource "google_vertex_ai_endpoint" "models" {
  # checkov:skip=CKV2_GCP_24: Google's keys encrypt it; it holds a container of open models, no data
  # checkov:skip=CKV2_GCP_33: its callers come by Google's API, which lets in whom IAM allows
  count = var.vertex == null ? 0 : 1

  project  = var.project_id
  location = var.region
  region   = var.region
  # A number of at most ten digits, the same at every apply.
  name                       = tostring(1000000000 + parseint(substr(sha256("${var.project_id}/${var.name}"), 0, 7), 16))
  display_name               = var.vertex.display_name
  description                = "The container of ${var.name}, deployed by its pipeline"
  labels                     = local.labels
  dedicated_endpoint_enabled = true

  lifecycle {
    ignore_changes = [traffic_split] # who deploys owns it
  }

  depends_on = [google_project_service.api]
}

resource "google_service_account" "vertex" {
  count = var.vertex == null ? 0 : 1

  project      = var.project_id
  account_id   = "${var.name}-vertex"
  display_name = "${var.name}: its containers on Vertex AI run as this"
  depends_on   = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "vertex_models" {
  count = var.vertex != null && var.models != null ? 1 : 0

  bucket = var.models.bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.vertex[0].member
}
