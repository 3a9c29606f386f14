# Guards who may do what: grants on single resources, each of one member, and no account with keys to the project.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
}

# Regression: a concern that is built though nobody asked for it.
run "by_default_the_service_alone" {
  command = plan

  assert {
    condition     = length(google_storage_bucket.events) + length(google_pubsub_topic.uploads) + length(google_bigquery_dataset.functions) + length(google_cloud_run_v2_job.batch) + length(google_cloud_scheduler_job.batch) == 0
    error_message = "Events, BigQuery and batch must be asked for."
  }

  assert {
    condition     = length(google_artifact_registry_repository.images) + length(google_cloudbuild_trigger.build) + length(google_vertex_ai_endpoint.models) + length(google_monitoring_dashboard.function) + length(google_billing_budget.project) == 0
    error_message = "Build, Vertex AI, monitoring and a budget must be asked for."
  }

  assert {
    condition     = keys(google_project_service.api) == ["iam", "logging", "run"]
    error_message = "Only the APIs of what is built are enabled."
  }
}

# Regression: an account that may call every service, or publish to every topic, of the project.
run "no_grant_on_the_project" {
  command = plan

  variables {
    alert_emails = ["team@example.com"]
    service      = { read_buckets = ["photos"], secrets = { KEY = { secret = "key", version = "1" } } }
    models       = { bucket = "my-models" }
    events       = {}
    bigquery     = {}
    batch        = { schedule = { cron = "0 3 * * *" } }
    vertex       = {}
    monitoring   = {}
  }

  assert {
    condition     = length(google_project_iam_member.eventarc_receives) + length(google_project_iam_member.storage_publishes) + length(google_project_iam_member.builder) == 0
    error_message = "None of these concerns needs a grant on the project."
  }
}

# Regression: a role that creeps in. These have no narrower place; the list is whole.
run "builder_on_the_project" {
  command = plan

  variables {
    build  = { repository = "projects/my-project/locations/europe-west1/connections/github/repositories/zeropoint" }
    vertex = {}
  }

  assert {
    condition = keys(google_project_iam_member.builder) == [
      "roles/aiplatform.user",
      "roles/cloudbuild.builds.editor",
      "roles/containeranalysis.occurrences.viewer",
      "roles/logging.logWriter",
      "roles/logging.viewer",
      "roles/ondemandscanning.admin",
    ]
    error_message = "The builder has another set of roles on the project than the one that was thought over."
  }
}

# Regression: a role for a release that there is not.
run "builder_without_triggers" {
  command = plan

  variables {
    build = {}
  }

  assert {
    condition     = keys(google_project_iam_member.builder) == ["roles/logging.logWriter", "roles/ondemandscanning.admin"]
    error_message = "Who only builds needs no more than logs and scans."
  }
}

# Regression: a builder that may act as any account, such as one with the role of an editor.
run "builder_acts_as_named_accounts_only" {
  variables {
    build  = { repository = "projects/my-project/locations/europe-west1/connections/github/repositories/zeropoint" }
    batch  = {}
    vertex = {}
  }

  assert {
    condition     = keys(google_service_account_iam_member.builder_acts_as) == ["batch", "builder", "runtime", "vertex"] && alltrue([for grant in google_service_account_iam_member.builder_acts_as : grant.role == "roles/iam.serviceAccountUser"])
    error_message = "The builder deploys as the accounts of this module, and no other."
  }

  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.builder) == ["roles/run.developer", "roles/run.invoker"] && google_cloud_run_v2_service_iam_member.builder["roles/run.developer"].name == google_cloud_run_v2_service.function.name
    error_message = "The builder deploys to this service, and calls it."
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.builder[0].role == "roles/artifactregistry.writer" && google_cloud_run_v2_job_iam_member.builder[0].role == "roles/run.developer"
    error_message = "The builder pushes to this repository, and deploys to this job."
  }
}

# Regression: a service that can delete what it answered, or write to what it reads.
run "service_reads_and_creates" {
  command = plan

  variables {
    alert_emails = ["team@example.com"]
    events       = {}
    service      = { read_buckets = ["photos"] }
    models       = { bucket = "my-models" }
  }

  assert {
    condition     = google_storage_bucket_iam_member.runtime_input[0].role == "roles/storage.objectViewer" && google_storage_bucket_iam_member.runtime_read["photos"].role == "roles/storage.objectViewer" && google_storage_bucket_iam_member.runtime_models[0].role == "roles/storage.objectViewer"
    error_message = "What is read may be viewed only."
  }

  assert {
    condition     = keys(google_storage_bucket_iam_member.runtime_results) == ["roles/storage.objectCreator", "roles/storage.objectViewer"]
    error_message = "Results may be created and viewed, not written over."
  }
}

# Regression: others' APIs switched off when this is destroyed.
run "apis_stay" {
  command = plan

  assert {
    condition     = alltrue([for api in google_project_service.api : !api.disable_on_destroy])
    error_message = "An API must stay enabled."
  }
}

# Regression: an apply that is refused, where others own the APIs.
run "apis_of_others" {
  command = plan

  variables {
    enable_apis = false
  }

  assert {
    condition     = length(google_project_service.api) == 0
    error_message = "enable_apis = false must leave them alone."
  }
}
