# An upload reaches the service on one of two ways:
#
#   pubsub     bucket → notification → topic → push subscription → POST /pubsub
#   eventarc   bucket → Eventarc's own topic and subscription → POST /events
#
# On the first, retries, deadline, dead letters and each grant are here to be seen. The second has less to own.

locals {
  # A trigger watches a whole bucket: results in the same one would call the service again.
  buckets        = var.events == null ? {} : { input = var.events.input_days, results = var.events.result_days }
  input_bucket   = "${var.project_id}-${var.name}-input"
  results_bucket = "${var.project_id}-${var.name}-results"
}

resource "google_storage_bucket" "events" {
  # checkov:skip=CKV_GCP_62: audit logs tell who read what, where the project has them on; usage logs would want a bucket more
  for_each = local.buckets

  project                     = var.project_id
  name                        = each.key == "input" ? local.input_bucket : local.results_bucket
  location                    = var.region # Eventarc's trigger must be where the bucket is
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  # An event names a generation of its object: versioning keeps it until it is answered, though
  # another upload has come over it.
  versioning {
    enabled = true
  }

  # Versions are the way back here: deleted ones would otherwise be kept, and billed, a second time.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 7
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value[*]
    content {
      action {
        type = "Delete"
      }
      condition {
        age        = lifecycle_rule.value
        with_state = "LIVE"
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "runtime_input" {
  count = var.events == null ? 0 : 1

  bucket = google_storage_bucket.events["input"].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.runtime.member
}

# A result is created where there is none, and read to know a repeated event: never overwritten or deleted.
resource "google_storage_bucket_iam_member" "runtime_results" {
  for_each = var.events == null ? [] : toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])

  bucket = google_storage_bucket.events["results"].name
  role   = each.key
  member = google_service_account.runtime.member
}

# Delivers events to the service, and may do nothing else.
resource "google_service_account" "events" {
  count = var.events == null ? 0 : 1

  project      = var.project_id
  account_id   = "${var.name}-events"
  display_name = "${var.name}: delivers events to the service"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_service_iam_member" "events" {
  count = var.events == null ? 0 : 1

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.function.name
  role     = "roles/run.invoker"
  member   = google_service_account.events[0].member
}

# Reading it makes it, where the project has none yet. No depends_on: read as late as during an apply,
# it would have that apply replace the grants.
data "google_storage_project_service_account" "agent" {
  count = var.events == null ? 0 : 1

  project = var.project_id
}

# --- delivery = "pubsub" ---

resource "google_pubsub_topic" "uploads" {
  # checkov:skip=CKV_GCP_83: Google's keys encrypt it; a message names an object and holds none of it
  count = local.push ? 1 : 0

  project = var.project_id
  name    = "${var.name}-uploads"
  labels  = local.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "storage_publishes" {
  count = local.push ? 1 : 0

  project = var.project_id
  topic   = google_pubsub_topic.uploads[0].name
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.agent[0].member
}

resource "google_storage_notification" "uploads" {
  count = local.push ? 1 : 0

  bucket             = google_storage_bucket.events["input"].name
  topic              = google_pubsub_topic.uploads[0].id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = var.events.object_prefix == "" ? null : var.events.object_prefix

  depends_on = [google_pubsub_topic_iam_member.storage_publishes]
}

resource "google_pubsub_subscription" "push" {
  count = local.push ? 1 : 0

  project = var.project_id
  name    = "${var.name}-push"
  topic   = google_pubsub_topic.uploads[0].id
  labels  = local.labels

  # Also how long a push waits for its answer: below the service's timeout, a slow answer comes twice.
  ack_deadline_seconds       = coalesce(var.events.ack_deadline_s, var.service.timeout_s)
  message_retention_duration = "${var.events.max_age_s}s"

  # Never: by default a subscription that had nothing to do for 31 days is deleted.
  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "${var.events.min_backoff_s}s"
    maximum_backoff = "${var.events.max_backoff_s}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters[0].id
    max_delivery_attempts = var.events.max_delivery_attempts
  }

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.function.uri}/pubsub"

    oidc_token {
      service_account_email = google_service_account.events[0].email
      # Without it the token would be for the URL with its path, which Cloud Run refuses.
      audience = google_cloud_run_v2_service.function.uri
    }
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.events,
    google_pubsub_subscription.dead_letters, # a topic without one loses what is published
    google_pubsub_topic_iam_member.pubsub_dead_letters,
    google_service_account_iam_member.pubsub_signs,
  ]
}

resource "google_pubsub_topic" "dead_letters" {
  # checkov:skip=CKV_GCP_83: Google's keys encrypt it; a message names an object and holds none of it
  count = local.push ? 1 : 0

  project = var.project_id
  name    = "${var.name}-dead-letters"
  labels  = local.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "dead_letters" {
  count = local.push ? 1 : 0

  project                    = var.project_id
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters[0].id
  labels                     = local.labels
  ack_deadline_seconds       = 600
  message_retention_duration = "2678400s" # 31 days, the longest there is

  expiration_policy {
    ttl = ""
  }
}

# Moving a dead letter is to publish it there, and to acknowledge it here.
resource "google_pubsub_topic_iam_member" "pubsub_dead_letters" {
  count = local.push ? 1 : 0

  project = var.project_id
  topic   = google_pubsub_topic.dead_letters[0].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "pubsub_dead_letters" {
  count = local.push ? 1 : 0

  project      = var.project_id
  subscription = google_pubsub_subscription.push[0].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

# Pub/Sub signs the tokens of its pushes as this one account, not as any of the project.
resource "google_service_account_iam_member" "pubsub_signs" {
  count = local.push ? 1 : 0

  service_account_id = google_service_account.events[0].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent

  # There is no such agent before the project's first topic.
  depends_on = [google_pubsub_topic.uploads]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  count = local.push ? 1 : 0

  project               = var.project_id
  display_name          = "${var.name}: uploads without an answer"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "a message became a dead letter"

    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.push[0].name}\" AND metric.type = \"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${var.events.max_delivery_attempts} deliveries of an upload failed. The messages wait 31 days: `gcloud pubsub subscriptions pull ${google_pubsub_subscription.dead_letters[0].name} --project=${var.project_id} --limit=10`. Why, the log of the service ${var.name} tells."
  }
}

# --- delivery = "eventarc" ---

resource "google_eventarc_trigger" "uploads" {
  count = local.eventarc ? 1 : 0

  project                 = var.project_id
  location                = var.region # the bucket's, which would be read back in upper case
  name                    = "${var.name}-uploads"
  labels                  = local.labels
  service_account         = google_service_account.events[0].email
  event_data_content_type = "application/json"

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }

  matching_criteria {
    attribute = "bucket"
    value     = google_storage_bucket.events["input"].name
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.function.name
      region  = var.region
      path    = "/events"
    }
  }

  # In a project without any trigger, these grants may take minutes to arrive: apply again.
  depends_on = [
    google_cloud_run_v2_service_iam_member.events,
    google_project_iam_member.eventarc_receives,
    google_project_iam_member.storage_publishes,
  ]
}

# Two grants on the project, as there is no narrower place: a trigger has no policy of its own, and
# Eventarc's topic has no name before it is made.
resource "google_project_iam_member" "eventarc_receives" {
  count = local.eventarc ? 1 : 0

  project = var.project_id
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.events[0].member
}

resource "google_project_iam_member" "storage_publishes" {
  count = local.eventarc ? 1 : 0

  project = var.project_id
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.agent[0].member
}
