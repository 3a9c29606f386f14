locals {
  bigquery_location = try(coalesce(var.bigquery.location, var.region), null)
  routines          = try(var.bigquery.routines, {})
}

resource "google_bigquery_dataset" "functions" {
  # checkov:skip=CKV_GCP_81: Google's keys encrypt it; it holds functions, not data
  count = var.bigquery == null ? 0 : 1

  project                    = var.project_id
  dataset_id                 = var.bigquery.dataset_id
  location                   = local.bigquery_location
  description                = "Predictions of ${var.name} as SQL functions"
  labels                     = local.labels
  delete_contents_on_destroy = !var.deletion_protection
  depends_on                 = [google_project_service.api]
}

# The identity with which BigQuery calls the service.
resource "google_bigquery_connection" "service" {
  count = var.bigquery == null ? 0 : 1

  project       = var.project_id
  connection_id = var.name
  location      = local.bigquery_location # the dataset's
  description   = "Calls the Cloud Run service ${var.name}"

  cloud_resource {}

  depends_on = [google_project_service.api]
}

resource "google_cloud_run_v2_service_iam_member" "bigquery" {
  count = var.bigquery == null ? 0 : 1

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.function.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_bigquery_connection.service[0].cloud_resource[0].service_account_id}"
}

resource "google_bigquery_routine" "model" {
  for_each = local.routines

  project         = var.project_id
  dataset_id      = google_bigquery_dataset.functions[0].dataset_id
  routine_id      = each.key
  routine_type    = "SCALAR_FUNCTION"
  description     = "Prediction of ${each.value.model == "" ? "the default model" : each.value.model}"
  definition_body = ""                                # required, and empty for a remote function: its language is none
  return_type     = jsonencode({ typeKind = "JSON" }) # as BigQuery gives it back, or it differs for ever

  dynamic "arguments" {
    for_each = each.value.arguments
    content {
      name          = arguments.value.name
      argument_kind = "FIXED_TYPE"
      data_type     = jsonencode({ typeKind = arguments.value.type })
    }
  }

  remote_function_options {
    connection        = google_bigquery_connection.service[0].name
    endpoint          = "${google_cloud_run_v2_service.function.uri}/bigquery"
    max_batching_rows = tostring(each.value.max_batching_rows)
    user_defined_context = merge(
      each.value.model == "" ? {} : { model = each.value.model },
      each.value.parameters == "" ? {} : { parameters = each.value.parameters },
    )
  }

  # Without it the first query is refused.
  depends_on = [google_cloud_run_v2_service_iam_member.bigquery]
}
