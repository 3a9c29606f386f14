locals {
  batch_inputs = var.batch == null ? toset([]) : toset(concat(tolist(var.batch.read_buckets), var.events == null ? [] : [local.input_bucket]))
  batch_reads  = var.batch == null ? toset([]) : toset(concat(tolist(local.batch_inputs), var.models[*].bucket))
  batch_writes = var.batch == null ? toset([]) : toset(concat(tolist(var.batch.write_buckets), var.events == null ? [] : [local.results_bucket]))

  batch_env = var.batch == null ? {} : merge(
    local.models_env,
    length(local.batch_inputs) == 0 ? {} : { ZEROPOINT_BUCKETS = join(",", sort(tolist(local.batch_inputs))) },
    { ZEROPOINT_CPUS = tostring(var.batch.cpu) },
  )
}

resource "google_service_account" "batch" {
  count = var.batch == null ? 0 : 1

  project      = var.project_id
  account_id   = "${var.name}-batch"
  display_name = "${var.name}: the job runs as this"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_job" "batch" {
  count = var.batch == null ? 0 : 1

  project             = var.project_id
  location            = var.region
  name                = "${var.name}-batch"
  labels              = local.labels
  deletion_protection = var.deletion_protection

  template {
    labels      = local.labels
    task_count  = var.batch.tasks
    parallelism = var.batch.parallelism

    template {
      service_account       = google_service_account.batch[0].email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      timeout               = "${var.batch.timeout_s}s"
      max_retries           = var.batch.max_retries

      containers {
        image = var.batch.image
        args  = var.batch.args

        resources {
          limits = { cpu = tostring(var.batch.cpu), memory = "${var.batch.memory_mib}Mi" }
        }

        dynamic "env" {
          for_each = local.batch_env
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "volume_mounts" {
          for_each = local.models_mounted ? ["models"] : []
          content {
            name       = volume_mounts.value
            mount_path = local.models_root
          }
        }
      }

      dynamic "volumes" {
        for_each = local.models_mounted ? ["models"] : []
        content {
          name = volumes.value
          gcs {
            bucket    = var.models.bucket
            read_only = true
          }
        }
      }
    }
  }

  lifecycle {
    # The pipeline owns the image, as it does of the service.
    ignore_changes = [
      client,
      client_version,
      template[0].annotations,
      template[0].labels,
      template[0].template[0].containers[0].image,
      template[0].template[0].containers[0].name,
    ]
  }

  depends_on = [google_project_service.api, google_storage_bucket_iam_member.batch_reads]
}

resource "google_storage_bucket_iam_member" "batch_reads" {
  for_each = local.batch_reads

  bucket     = each.key
  role       = "roles/storage.objectViewer"
  member     = google_service_account.batch[0].member
  depends_on = [google_storage_bucket.events]
}

# Unlike the service's, a batch's output is written over when its task is run again.
resource "google_storage_bucket_iam_member" "batch_writes" {
  for_each = local.batch_writes

  bucket     = each.key
  role       = "roles/storage.objectUser"
  member     = google_service_account.batch[0].member
  depends_on = [google_storage_bucket.events]
}

resource "google_service_account" "scheduler" {
  count = try(var.batch.schedule, null) == null ? 0 : 1

  project      = var.project_id
  account_id   = "${var.name}-scheduler"
  display_name = "${var.name}: runs the job by cron"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  count = try(var.batch.schedule, null) == null ? 0 : 1

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.batch[0].name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler[0].member
}

resource "google_cloud_scheduler_job" "batch" {
  count = try(var.batch.schedule, null) == null ? 0 : 1

  project     = var.project_id
  region      = var.region
  name        = "${var.name}-batch"
  description = "Runs the job ${var.name}-batch"
  schedule    = var.batch.schedule.cron
  time_zone   = var.batch.schedule.time_zone

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.region}/jobs/${google_cloud_run_v2_job.batch[0].name}:run"

    # An OAuth token: this is Google's API, not the service.
    oauth_token {
      service_account_email = google_service_account.scheduler[0].email
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}
