# What the provider would compute, in the form in which other resources take it.

mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_data "google_storage_project_service_account" {
  defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
}

mock_resource "google_service_account" {
  defaults = {
    email  = "mock@my-project.iam.gserviceaccount.com"
    id     = "projects/my-project/serviceAccounts/mock@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:mock@my-project.iam.gserviceaccount.com"
    name   = "projects/my-project/serviceAccounts/mock@my-project.iam.gserviceaccount.com"
  }
}

mock_resource "google_cloud_run_v2_service" {
  defaults = { uri = "https://zeropoint-abc123-ew.a.run.app" }
}

mock_resource "google_pubsub_topic" {
  defaults = { id = "projects/my-project/topics/mock" }
}

mock_resource "google_bigquery_connection" {
  defaults = {
    name           = "projects/my-project/locations/europe-west1/connections/zeropoint"
    cloud_resource = { service_account_id = "bqcx-123456789012-mock@gcp-sa-bigquery-condel.iam.gserviceaccount.com" }
  }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { id = "projects/my-project/notificationChannels/1" }
}

mock_resource "google_monitoring_slo" {
  defaults = {
    id   = "projects/123456789012/services/zeropoint/serviceLevelObjectives/mock"
    name = "projects/123456789012/services/zeropoint/serviceLevelObjectives/mock"
  }
}
