# Who owns what: this file the service's shape, the pipeline its image and its traffic.

locals {
  service_env = merge(
    local.models_env,
    # A quarter of the memory: a model takes more than its file, more yet while it loads, and requests take the rest.
    { ZEROPOINT_MAX_LOADED_BYTES = tostring(floor(var.service.memory_mib * 1048576 / 4)) },
    length(local.buckets_read) == 0 ? {} : { ZEROPOINT_BUCKETS = join(",", local.buckets_read) },
    var.events == null ? {} : {
      ZEROPOINT_EVENT_MAX_AGE_S = tostring(var.events.max_age_s)
      ZEROPOINT_RESULTS         = "gs://${local.results_bucket}"
    },
    # A text ends where it is, with what was written: Cloud Run would cut its connection.
    { ZEROPOINT_MAX_WRITING_S = tostring(var.service.timeout_s - 5) },
    var.service.env,
    {
      # A container may see its host's processors, not its share of them.
      ZEROPOINT_CPUS = tostring(var.service.cpu)
      # Before Cloud Run gives up: a refusal that says why, and when to come again.
      ZEROPOINT_TIMEOUT_S = tostring(var.service.timeout_s - 5)
    },
  )

  buckets_read = sort(concat(tolist(var.service.read_buckets), var.events == null ? [] : [local.input_bucket]))
}

resource "google_service_account" "runtime" {
  project      = var.project_id
  account_id   = "${var.name}-runtime"
  display_name = "${var.name}: the service runs as this"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_service" "function" {
  project             = var.project_id
  location            = var.region
  name                = var.name
  description         = "Zeropoint: an ONNX model as a serverless function"
  labels              = local.labels
  ingress             = var.service.ingress
  deletion_protection = var.deletion_protection

  # Not a grant to allUsers, which domain-restricted sharing refuses.
  invoker_iam_disabled = var.service.public

  # Of the service. A revision's own minimum stays warm, and billed, without traffic as long as a tag names it.
  scaling {
    min_instance_count = var.service.min_instances
    max_instance_count = var.service.max_instances
  }

  template {
    service_account                  = google_service_account.runtime.email
    labels                           = local.labels # a revision does not inherit the service's
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    timeout                          = "${var.service.timeout_s}s"
    max_instance_request_concurrency = var.service.concurrency
    gpu_zonal_redundancy_disabled    = var.service.gpu == null ? null : !var.service.gpu.zonal_redundancy

    scaling {
      min_instance_count = 0
      max_instance_count = var.service.max_instances
    }

    dynamic "node_selector" {
      for_each = var.service.gpu[*]
      content {
        accelerator = node_selector.value.type
      }
    }

    containers {
      image = var.service.image

      ports {
        container_port = 8080
      }

      resources {
        # Both, always: with one alone the provider before 7.44 plans a change for ever.
        limits = merge(
          { cpu = tostring(var.service.cpu), memory = "${var.service.memory_mib}Mi" },
          var.service.gpu == null ? {} : { "nvidia.com/gpu" = "1" },
        )
        # Written out, because with a `resources` block its default is false: billed while idle.
        # A GPU is only to be had that way.
        cpu_idle          = var.service.gpu == null
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.service_env
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.service.secrets
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = env.value.version
            }
          }
        }
      }

      # Ready when the default model gave its known answer. Every second: a cold start waits for the next probe.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = var.service.startup_timeout_s
        http_get {
          path = "/readyz"
          port = 8080
        }
      }

      # Seldom: an idle instance is billed for each probe.
      liveness_probe {
        period_seconds    = 60
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/livez"
          port = 8080
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

  lifecycle {
    # What a deployment by gcloud writes. Not ignored, the next apply would undo it, and send all
    # traffic to a new revision of the old image.
    ignore_changes = [
      client,
      client_version,
      template[0].annotations,
      template[0].containers[0].image,
      template[0].containers[0].name,
      template[0].labels,
      template[0].revision,
      traffic,
    ]
  }

  # A revision that cannot read its secrets or its models does not start.
  depends_on = [
    google_project_service.api,
    google_secret_manager_secret_iam_member.runtime,
    google_storage_bucket_iam_member.runtime_models,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = var.service.invokers

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.function.name
  role     = "roles/run.invoker"
  member   = each.key
}

resource "google_secret_manager_secret_iam_member" "runtime" {
  for_each = toset([for secret in var.service.secrets : secret.secret])

  project   = var.project_id
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.runtime.member
}

resource "google_storage_bucket_iam_member" "runtime_models" {
  count = var.models == null ? 0 : 1

  bucket = var.models.bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.runtime.member
}

resource "google_storage_bucket_iam_member" "runtime_read" {
  for_each = var.service.read_buckets

  bucket = each.key
  role   = "roles/storage.objectViewer"
  member = google_service_account.runtime.member
}
