# No uptime check: a service that is asked every minute never scales to zero.

locals {
  # Of one record that the function logs for each cold start, in milliseconds.
  phases = ["process", "imports", "read", "session", "check", "first", "total"]

  log_of_app   = "${local.this_service} AND logName=\"projects/${var.project_id}/logs/run.googleapis.com%2Fstdout\""
  log_of_calls = "${local.this_service} AND logName=\"projects/${var.project_id}/logs/run.googleapis.com%2Frequests\""

  counters = var.monitoring == null ? {} : {
    cold_starts = {
      description = "Instances that gave their first answer"
      filter      = "${local.log_of_app} AND jsonPayload.message=\"cold start\" AND jsonPayload.cold_start_ms.total>0"
      label       = "model"
      extractor   = "EXTRACT(jsonPayload.model)"
    }
    predictions = {
      description = "Requests that were answered with predictions, by the first part of their path"
      filter      = "${local.log_of_calls} AND httpRequest.requestMethod=\"POST\" AND httpRequest.status>=200 AND httpRequest.status<300"
      label       = "route"
      extractor   = "REGEXP_EXTRACT(httpRequest.requestUrl, \"^https?://[^/]+(/[a-z0-9]*)\")"
    }
    refusals = {
      description = "Requests that were refused, by their status"
      filter      = "${local.log_of_calls} AND httpRequest.status>=400"
      label       = "status"
      extractor   = "EXTRACT(httpRequest.status)"
    }
    # Events are acknowledged with 200 even so. Cloud Logging makes a record that is a message alone a text.
    refused_events = {
      description = "Events that no redelivery can mend, by the code of their error"
      filter      = "${local.log_of_app} AND (textPayload=~\"^event refused: \" OR jsonPayload.message=~\"^event refused: \")"
      label       = "code"
      extractor   = "REGEXP_EXTRACT(textPayload, \"\\\\(([a-z_]+)\\\\)$\")"
    }
  }
}

resource "google_logging_metric" "count" {
  for_each = local.counters

  project          = var.project_id
  name             = "${var.name}/${each.key}"
  description      = each.value.description
  filter           = each.value.filter
  label_extractors = { (each.value.label) = each.value.extractor }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key        = each.value.label
      value_type = "STRING"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "cold_start_ms" {
  for_each = var.monitoring == null ? [] : toset(local.phases)

  project         = var.project_id
  name            = "${var.name}/cold_start_ms/${each.key}"
  description     = "Cold start: ${each.key}"
  filter          = "${local.log_of_app} AND jsonPayload.message=\"cold start\" AND jsonPayload.cold_start_ms.${each.key}>=0"
  value_extractor = "EXTRACT(jsonPayload.cold_start_ms.${each.key})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  # From 1 ms to a minute, each bound a fifth above the last.
  bucket_options {
    exponential_buckets {
      scale              = 1
      growth_factor      = 1.2
      num_finite_buckets = 61
    }
  }

  depends_on = [google_project_service.api]
}

# --- objectives ---

locals {
  # Objectives of how long something takes, each on a metric that Cloud Run keeps itself: one of the
  # log may not be known yet at the first apply.
  durations = var.monitoring == null ? {} : {
    # Measured from when a request reaches a started container, so without cold starts.
    latency = {
      title  = "answers within ${var.monitoring.latency_ms} ms, cold starts apart"
      goal   = var.monitoring.latency_goal
      metric = "metric.type=\"run.googleapis.com/request_latencies\" AND metric.labels.response_code_class=\"2xx\""
      max_ms = var.monitoring.latency_ms
    }
    # From the start of a container until its startup probe found it ready.
    cold-start = {
      title  = "cold starts within ${var.monitoring.cold_start_ms} ms"
      goal   = var.monitoring.cold_start_goal
      metric = "metric.type=\"run.googleapis.com/container/startup_latencies\""
      max_ms = var.monitoring.cold_start_ms
    }
  }

  objectives = merge({ for slo in google_monitoring_slo.availability : "availability" => slo }, google_monitoring_slo.duration)

  # Of the errors that 30 days allow, 2 % are spent when the fast one fires, 5 % when the slow one does.
  # The short window ends an alert soon after the trouble is over.
  burns = var.monitoring == null ? {} : {
    fast = { rate = var.monitoring.fast_burn_rate, windows = ["3600s", "300s"], severity = "CRITICAL" }
    slow = { rate = var.monitoring.slow_burn_rate, windows = ["21600s", "1800s"], severity = "WARNING" }
  }

  burn_alerts = merge([for objective in ["availability", "latency", "cold-start"] : {
    for speed, burn in local.burns : "${objective}-${speed}" => merge(burn, { objective = objective, speed = speed })
  }]...)
}

resource "google_monitoring_service" "function" {
  count = var.monitoring == null ? 0 : 1

  project      = var.project_id
  service_id   = var.name
  display_name = var.name
  user_labels  = local.labels

  basic_service {
    service_type   = "CLOUD_RUN"
    service_labels = { service_name = google_cloud_run_v2_service.function.name, location = var.region }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_slo" "availability" {
  count = var.monitoring == null ? 0 : 1

  project             = var.project_id
  service             = google_monitoring_service.function[0].service_id
  slo_id              = "availability"
  display_name        = "${var.monitoring.availability_goal * 100} % of requests without a server error"
  goal                = var.monitoring.availability_goal
  rolling_period_days = var.monitoring.rolling_days
  user_labels         = local.labels

  request_based_sli {
    good_total_ratio {
      total_service_filter = "${local.this_service} AND metric.type=\"run.googleapis.com/request_count\""
      bad_service_filter   = "${local.this_service} AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\""
    }
  }
}

resource "google_monitoring_slo" "duration" {
  for_each = local.durations

  project             = var.project_id
  service             = google_monitoring_service.function[0].service_id
  slo_id              = each.key
  display_name        = "${each.value.goal * 100} % of ${each.value.title}"
  goal                = each.value.goal
  rolling_period_days = var.monitoring.rolling_days
  user_labels         = local.labels

  request_based_sli {
    distribution_cut {
      distribution_filter = "${local.this_service} AND ${each.value.metric}"
      range {
        max = each.value.max_ms
      }
    }
  }
}

resource "google_monitoring_alert_policy" "burn" {
  for_each = local.burn_alerts

  project               = var.project_id
  display_name          = "${var.name}: ${each.value.objective} burns ${each.value.speed}"
  combiner              = "AND"
  severity              = each.value.severity
  notification_channels = local.notification_channels
  user_labels           = local.labels

  dynamic "conditions" {
    for_each = each.value.windows
    content {
      display_name = "burn rate above ${each.value.rate} over ${conditions.value}"

      condition_threshold {
        filter          = "select_slo_burn_rate(\"${local.objectives[each.value.objective].id}\", \"${conditions.value}\")"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.rate
        duration        = "0s"
      }
    }
  }

  dynamic "conditions" {
    for_each = var.monitoring.min_requests > 0 ? [var.monitoring.min_requests] : []
    content {
      display_name = "more than ${conditions.value} requests in an hour"

      condition_threshold {
        filter          = "${local.this_service} AND metric.type=\"run.googleapis.com/request_count\""
        comparison      = "COMPARISON_GT"
        threshold_value = conditions.value
        duration        = "0s"

        aggregations {
          alignment_period     = "3600s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Errors are spent ${each.value.rate} times as quickly as the objective allows: ${local.objectives[each.value.objective].display_name}. See the dashboard ${var.name} and the log of the service."
  }
}
