# Guards the concerns beside service and events: BigQuery, batch, Vertex AI, build, budget.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id   = "my-project"
  region       = "europe-west1"
  alert_emails = ["team@example.com"]
}

# Bill: what cannot be told apart on it.
run "labels" {
  command = plan

  variables {
    labels     = { team = "vision" }
    events     = {}
    bigquery   = {}
    batch      = {}
    build      = {}
    vertex     = {}
    monitoring = {}
  }

  assert {
    condition = alltrue([for labels in concat(
      [for bucket in google_storage_bucket.events : bucket.labels],
      [
        google_artifact_registry_repository.images[0].labels,
        google_bigquery_dataset.functions[0].labels,
        google_cloud_run_v2_job.batch[0].labels,
        google_cloud_run_v2_job.batch[0].template[0].labels,
        google_cloud_run_v2_service.function.labels,
        google_cloud_run_v2_service.function.template[0].labels,
        google_monitoring_alert_policy.dead_letters[0].user_labels,
        google_monitoring_slo.availability[0].user_labels,
        google_pubsub_subscription.dead_letters[0].labels,
        google_pubsub_subscription.push[0].labels,
        google_pubsub_topic.dead_letters[0].labels,
        google_pubsub_topic.uploads[0].labels,
        google_storage_bucket.source[0].labels,
        google_vertex_ai_endpoint.models[0].labels,
      ],
    ) : labels == tomap({ app = "zeropoint", team = "vision" })])
    error_message = "What takes labels must have them all."
  }
}

# Regression: a routine that is refused, or that plans a change for ever.
run "bigquery" {
  variables {
    bigquery = { routines = {
      plain = {}
      rich = {
        model             = "phishing"
        parameters        = "{\"top_k\":3}"
        arguments         = [{ name = "url", type = "STRING" }, { name = "features", type = "JSON" }]
        max_batching_rows = 512
      }
    } }
  }

  assert {
    condition     = google_bigquery_routine.model["plain"].definition_body == "" && google_bigquery_routine.model["plain"].language == null && google_bigquery_routine.model["plain"].return_type == "{\"typeKind\":\"JSON\"}"
    error_message = "A remote function has an empty body, no language, and its type as BigQuery gives it back."
  }

  assert {
    condition     = google_bigquery_routine.model["rich"].remote_function_options[0].user_defined_context == tomap({ model = "phishing", parameters = "{\"top_k\":3}" }) && google_bigquery_routine.model["rich"].remote_function_options[0].max_batching_rows == "512"
    error_message = "The context must name the model and its parameters."
  }

  assert {
    condition     = [for argument in google_bigquery_routine.model["rich"].arguments : "${argument.name} ${argument.data_type}"] == ["url {\"typeKind\":\"STRING\"}", "features {\"typeKind\":\"JSON\"}"]
    error_message = "Arguments must come in their order, with their types."
  }

  assert {
    condition     = google_bigquery_routine.model["plain"].remote_function_options[0].endpoint == "https://zeropoint-abc123-ew.a.run.app/bigquery" && google_cloud_run_v2_service_iam_member.bigquery[0].role == "roles/run.invoker"
    error_message = "BigQuery must call /bigquery, and be let in."
  }

  assert {
    condition     = google_bigquery_connection.service[0].location == google_bigquery_dataset.functions[0].location && google_bigquery_dataset.functions[0].delete_contents_on_destroy == false
    error_message = "Dataset and connection must be in one place, and the dataset kept while it holds something."
  }
}

# Regression: a connection that its dataset cannot use.
run "bigquery_in_a_multi_region" {
  command = plan

  variables {
    bigquery = { location = "EU" }
  }

  assert {
    condition     = google_bigquery_connection.service[0].location == "EU" && google_bigquery_dataset.functions[0].location == "EU"
    error_message = "Both must be where was asked for."
  }
}

# Bill: tasks without an end, and a job that a destroy takes along.
run "batch" {
  command = plan

  variables {
    batch  = { tasks = 4, parallelism = 2, args = ["batch", "--input", "gs://a"], write_buckets = ["answers"] }
    models = { bucket = "my-models" }
  }

  assert {
    condition     = google_cloud_run_v2_job.batch[0].template[0].task_count == 4 && google_cloud_run_v2_job.batch[0].template[0].parallelism == 2 && google_cloud_run_v2_job.batch[0].template[0].template[0].timeout == "3600s" && google_cloud_run_v2_job.batch[0].template[0].template[0].max_retries == 3
    error_message = "Tasks must be bounded in number, time and tries."
  }

  assert {
    condition     = google_cloud_run_v2_job.batch[0].deletion_protection == true && google_cloud_run_v2_job.batch[0].template[0].template[0].volumes[0].gcs[0].bucket == "my-models"
    error_message = "The job must be protected, and read the models of the service."
  }

  assert {
    condition     = keys(google_storage_bucket_iam_member.batch_writes) == ["answers"] && google_storage_bucket_iam_member.batch_writes["answers"].role == "roles/storage.objectUser"
    error_message = "The job writes to the buckets that were named."
  }

  assert {
    condition     = length(google_cloud_scheduler_job.batch) == 0
    error_message = "Nothing runs by cron that was not asked for."
  }
}

# Regression: 401, where an identity token is sent to Google's API.
run "batch_by_cron" {
  command = plan

  variables {
    batch = { schedule = { cron = "0 3 * * 1", time_zone = "Europe/Berlin" } }
  }

  assert {
    condition     = google_cloud_scheduler_job.batch[0].http_target[0].uri == "https://run.googleapis.com/v2/projects/my-project/locations/europe-west1/jobs/zeropoint-batch:run" && length(google_cloud_scheduler_job.batch[0].http_target[0].oauth_token) == 1 && length(google_cloud_scheduler_job.batch[0].http_target[0].oidc_token) == 0
    error_message = "The schedule must run the job with an OAuth token."
  }

  assert {
    condition     = google_cloud_run_v2_job_iam_member.scheduler[0].role == "roles/run.invoker" && google_cloud_run_v2_job_iam_member.scheduler[0].name == "zeropoint-batch"
    error_message = "The schedule may run this job, and no other."
  }
}

# Regression: an endpoint whose number is refused, or new at each apply.
run "vertex" {
  command = plan

  variables {
    vertex = {}
  }

  assert {
    condition     = can(regex("^[1-9][0-9]{0,9}$", google_vertex_ai_endpoint.models[0].name))
    error_message = "An endpoint's name is a number of at most ten digits."
  }

  assert {
    condition     = google_vertex_ai_endpoint.models[0].name == "1150758725"
    error_message = "The number of this project and name must be the same at every apply."
  }
}

# Regression: the image that serves is cleaned away. Bill: images that nobody can deploy, kept for ever.
run "cleanup_keeps_what_is_deployed" {
  command = plan

  variables {
    build = {}
  }

  assert {
    condition     = alltrue([for policy in google_artifact_registry_repository.images[0].cleanup_policies : policy.condition[0].tag_state == "UNTAGGED" && policy.condition[0].older_than == "2592000s" if policy.action == "DELETE"])
    error_message = "Only images without a tag may be deleted, after a time in seconds."
  }

  assert {
    condition     = anytrue([for policy in google_artifact_registry_repository.images[0].cleanup_policies : policy.most_recent_versions[0].keep_count >= 5 if policy.action == "KEEP"]) && google_artifact_registry_repository.images[0].cleanup_policy_dry_run == false
    error_message = "The last images must be kept, and the policies applied."
  }

  assert {
    condition     = google_artifact_registry_repository.images[0].docker_config[0].immutable_tags == true
    error_message = "A tag that moves leaves the deployed image without one, to be deleted."
  }

  assert {
    condition     = length(google_cloudbuild_trigger.build) == 0
    error_message = "Without a repository there is nothing to trigger a build."
  }
}

# Regression: a build that is refused for a substitution that its file does not declare, or runs as another account.
run "triggers" {
  variables {
    build = { repository = "projects/my-project/locations/europe-west1/connections/github/repositories/zeropoint", branch = "release-1.0", approval = true }
  }

  assert {
    condition = google_cloudbuild_trigger.build[0].substitutions == tomap({
      _IMAGE           = "europe-west1-docker.pkg.dev/my-project/zeropoint/zeropoint"
      _REGION          = "europe-west1"
      _RELEASE_TRIGGER = "zeropoint-release"
      _SCAN_LOCATION   = "europe"
      _SERVICE         = "zeropoint"
    })
    error_message = "The build must be told image, region, service, and who releases."
  }

  assert {
    condition     = google_cloudbuild_trigger.build[0].filename == "cloudbuild.yaml" && google_cloudbuild_trigger.build[0].repository_event_config[0].push[0].branch == "^release-1\\.0$"
    error_message = "A push to this branch alone must build."
  }

  assert {
    condition     = google_cloudbuild_trigger.release[0].git_file_source[0].path == "deploy/release.yaml" && google_cloudbuild_trigger.release[0].git_file_source[0].revision == "refs/heads/release-1.0" && google_cloudbuild_trigger.release[0].approval_config[0].approval_required == true
    error_message = "A release must run deploy/release.yaml of the branch, after a yes."
  }

  assert {
    condition     = google_cloudbuild_trigger.build[0].service_account == google_service_account.builder[0].id && google_cloudbuild_trigger.release[0].service_account == google_service_account.builder[0].id && google_service_account.builder[0].account_id == "zeropoint-builder"
    error_message = "Both must run as the builder, which cloudbuild.yaml names too."
  }
}

# Bill: nobody is told before the month's end.
run "budget" {
  variables {
    budget = { billing_account = "012345-6789AB-CDEF01", amount = 50 }
  }

  assert {
    condition     = google_billing_budget.project[0].amount[0].specified_amount[0].units == "50" && google_billing_budget.project[0].budget_filter[0].projects == toset(["projects/123456789012"])
    error_message = "The budget must be of this project, by its number."
  }

  assert {
    condition     = toset([for rule in google_billing_budget.project[0].threshold_rules : "${rule.spend_basis} ${rule.threshold_percent}"]) == toset(["CURRENT_SPEND 0.5", "CURRENT_SPEND 0.9", "CURRENT_SPEND 1", "FORECASTED_SPEND 1"])
    error_message = "It must tell at shares of what was spent, and of what will be."
  }

  assert {
    condition     = google_billing_budget.project[0].all_updates_rule[0].monitoring_notification_channels == tolist([google_monitoring_notification_channel.email["team@example.com"].id])
    error_message = "It must write to the alerts' addresses."
  }
}

# Regression: a destroy that stops half way, on a bucket with something in it.
run "without_protection_all_goes" {
  command = plan

  variables {
    deletion_protection = false
    events              = {}
    bigquery            = {}
    batch               = {}
  }

  assert {
    condition     = !google_cloud_run_v2_service.function.deletion_protection && !google_cloud_run_v2_job.batch[0].deletion_protection && alltrue([for bucket in google_storage_bucket.events : bucket.force_destroy]) && google_bigquery_dataset.functions[0].delete_contents_on_destroy
    error_message = "deletion_protection = false must let all of it be destroyed."
  }
}
